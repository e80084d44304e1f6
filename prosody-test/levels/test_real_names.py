"""Real names, and chats under them (spec: contact levels, Real name)."""

import pytest
from rig import commands, levels, xml
from rig.wait import eventually

ALICE, LEVEL2 = "alice@localhost", "level2@localhost"
FACE = levels.face(ALICE)
PHOTO = "https://upload.example/alice.png"


async def names(s, **of: str) -> None:
    for name, fn in of.items():
        await commands.run(s[name], "real-name", {"fn": fn})


async def card(client, owner: str) -> list[str]:
    """The texts of a vcard-temp."""
    answer = await client.iq("get", f"<vCard xmlns='{levels.VCARD}'/>", levels.face(owner))
    assert answer.get("type") == "result", xml.dump(answer)
    return [each.text for each in answer[0].iter() if each.text]


async def test_a_card_has_the_real_name_and_the_photo(around_alice):
    s = await around_alice()
    values = {"fn": "Alice Liddell", "given": "Alice", "family": "Liddell", "photo": PHOTO}
    await commands.run(s["alice"], "real-name", values)
    await levels.open_door(s["alice"], "real-name", 3)
    temp = (await s["level3"].iq("get", f"<vCard xmlns='{levels.VCARD}'/>", FACE))[0]
    n, photo = xml.child(temp, "N"), xml.child(temp, "PHOTO")
    assert xml.text(temp, "FN") == "Alice Liddell"
    assert n is not None
    assert (xml.text(n, "GIVEN"), xml.text(n, "FAMILY")) == ("Alice", "Liddell")
    assert photo is not None
    assert xml.text(photo, "EXTVAL") == PHOTO
    four = (await s["level3"].iq("get", f"<vcard xmlns='{levels.VCARD4}'/>", FACE))[0]
    assert list(four.itertext()) == ["Alice Liddell", "Liddell", "Alice", "alice", PHOTO]
    node = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:vcard4'/></pubsub>"
    assert list((await s["level3"].iq("get", node, FACE))[0].itertext()) == list(four.itertext())
    assert await card(s["level4"], ALICE) == ["alice"]


async def test_a_real_name_is_not_in_the_vcard_that_the_server_shows(around_alice):
    s = await around_alice()
    await names(s, alice="Alice Liddell")
    await levels.open_door(s["alice"], "real-name", 1, 2, 3, 4, 5)
    answer = await s["level1"].iq("get", f"<vCard xmlns='{levels.VCARD}'/>", ALICE)
    assert "Liddell" not in xml.dump(answer)


@pytest.mark.parametrize("rest", [{}, {"given": "Alice", "family": "Liddell", "photo": PHOTO}], ids=["", "the rest stays in the form"])
async def test_an_empty_name_removes_the_real_name(around_alice, rest):
    s = await around_alice()
    await commands.run(s["alice"], "real-name", {"fn": "Alice Liddell", **rest})
    await levels.open_door(s["alice"], "real-name", 5)
    assert "Alice Liddell" in await card(s["level1"], ALICE)
    await commands.run(s["alice"], "real-name", {"fn": "", **rest})
    assert await card(s["level1"], ALICE) == ["alice"]
    shown = (await commands.execute(s["alice"], "real-name")).values
    assert [shown[name] for name in ("fn", "given", "family", "photo")] == [[]] * 4


async def test_an_empty_name_by_chat_removes_all_of_the_real_name(around_alice):
    s = await around_alice()
    await commands.say(s["alice"], f"real-name Alice Liddell given=Alice family=Liddell photo={PHOTO}")
    assert await commands.say(s["alice"], "real-name fn=''") == "You have no real name here now."
    assert await commands.say(s["alice"], "real-name given=Alice family=Liddell") == (
        "Your real name is Alice Liddell. Those see it for whom you open real-name."
    ), "who has no name yet may give its parts alone"


async def test_both_talk_under_their_real_names(around_alice):
    s = await around_alice()
    await names(s, alice="Alice Liddell", level2="Tom Sawyer")
    await levels.open_door(s["alice"], "real-name", 3)
    alice, tom = s["alice"], s["level2"]
    first = await tom.message(FACE, "Good day")
    got = await alice.expect(lambda each: xml.body(each) == "Good day")
    assert (got.get("from"), got.get("type"), got.get("id")) == (levels.face(LEVEL2), "chat", first)
    assert xml.text(got, "nick", levels.NICK) == "Tom Sawyer"
    await alice.message(levels.face(LEVEL2), "Good day, Tom")
    got = await tom.expect(lambda each: xml.body(each) == "Good day, Tom")
    assert got.get("from") == FACE
    assert xml.text(got, "nick", levels.NICK) == "Alice Liddell"
    await tom.message(FACE, "And to you")
    await alice.expect(lambda each: xml.body(each) == "And to you")
    # Who was written to learns the name, but the door of the card stays shut.
    assert await card(alice, LEVEL2) == ["Tom Sawyer"]


async def test_the_access_log_says_who_came_to_talk_and_who_was_refused(around_alice):
    s = await around_alice()
    await names(s, alice="Alice Liddell", level2="Tom Sawyer", level4="Becky Thatcher")
    await levels.open_door(s["alice"], "real-name", 3)
    alice, tom, becky = s["alice"], s["level2"], s["level4"]
    for text in ("Good day", "Are you there?"):
        await tom.message(FACE, text)
        await alice.until(lambda text=text: text in alice.bodies(levels.face(LEVEL2)))
    await alice.message(levels.face(LEVEL2), "I am")
    await tom.until(lambda: tom.bodies(FACE))
    await becky.message(FACE, "Good day")
    await becky.expect(lambda each: xml.condition(each) == "forbidden")
    assert [look for _when, look in (await commands.run(alice, "access-log")).rows] == [
        "level4@localhost, real-name, all levels, refused",
        "level2@localhost, real-name, all levels, granted",
    ]
    assert (await commands.run(tom, "access-log")).rows == []


async def test_receipts_markers_and_chat_states_pass_both_ways(around_alice):
    s = await around_alice()
    await names(s, alice="Alice Liddell", level2="Tom Sawyer")
    await levels.open_door(s["alice"], "real-name", 3)
    ask = "<request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/>"
    sent = await s["level2"].message(FACE, "Good day", extra=ask)
    got = await s["alice"].expect(lambda each: xml.body(each) == "Good day")
    assert {xml.name(each) for each in got} >= {"request", "markable"}
    await s["alice"].displayed(levels.face(LEVEL2), sent)
    marker = await s["level2"].expect(lambda each: xml.child(each, "displayed") is not None)
    assert (marker.get("from"), xml.child(marker, "displayed").get("id")) == (FACE, sent)


@pytest.mark.parametrize(
    ("sent", "arrives"), [("type='chat'", "chat"), ("type='normal'", "normal"), ("", "normal"), ("type='odd'", "normal")]
)
async def test_a_message_keeps_its_type_and_one_that_nobody_knows_is_normal(around_alice, sent, arrives):
    s = await around_alice()
    await names(s, level2="Tom Sawyer")
    await levels.open_door(s["alice"], "real-name", 3)
    await s["level2"].send(f"<message to='{FACE}' {sent}><body>Good day</body></message>")
    got = await s["alice"].expect(lambda each: xml.body(each) == "Good day")
    assert got.get("type", "normal") == arrives  # ejabberd does not write the default


async def test_a_message_keeps_its_language(around_alice):
    s = await around_alice()
    await names(s, level2="Tom Sawyer")
    await levels.open_door(s["alice"], "real-name", 3)
    await s["level2"].send(f"<message to='{FACE}' type='chat' xml:lang='de'><body>Guten Tag</body></message>")
    got = await s["alice"].expect(lambda each: xml.body(each) == "Guten Tag")
    assert got.get("{http://www.w3.org/XML/1998/namespace}lang") == "de"


async def test_who_may_not_gets_forbidden_and_the_owner_gets_nothing(around_alice):
    s = await around_alice()
    await names(s, alice="Alice Liddell", level4="Becky Thatcher")
    await levels.open_door(s["alice"], "real-name", 3)
    start = s["alice"].mark()
    await s["level4"].message(FACE, "Good day")
    error = await s["level4"].expect(lambda each: xml.sender(each) == FACE)
    assert (error.get("type"), xml.condition(error)) == ("error", "forbidden")
    await s["alice"].settled()
    assert s["alice"].bodies(levels.face("level4@localhost"), start) == []


async def test_who_has_no_real_name_is_asked_to_set_one(around_alice):
    s = await around_alice()
    await names(s, alice="Alice Liddell")
    await levels.open_door(s["alice"], "real-name", 3)
    await s["level2"].message(FACE, "Good day")
    reply = await s["level2"].expect(lambda each: xml.sender(each) == FACE)
    assert "real-name" in (xml.body(reply) or "")
    await s["alice"].settled()
    assert s["alice"].bodies(levels.face(LEVEL2)) == []
    await names(s, level2="Tom Sawyer")
    await s["level2"].message(FACE, "Good day")
    await s["alice"].until(lambda: s["alice"].bodies(levels.face(LEVEL2)) == ["Good day"])


async def test_only_who_was_written_to_may_answer(around_alice):
    s = await around_alice()
    await names(s, alice="Alice Liddell", level2="Tom Sawyer")
    await levels.open_door(s["alice"], "real-name", 3)
    await s["alice"].message(levels.face(LEVEL2), "You have not written")
    error = await s["alice"].expect(lambda each: xml.sender(each) == levels.face(LEVEL2))
    assert xml.condition(error) == "forbidden"


@pytest.mark.parametrize("answered", [False, True], ids=["", "after an answer"])
async def test_a_door_that_closes_closes_the_chat(around_alice, answered):
    s = await around_alice()
    await names(s, alice="Alice Liddell", level2="Tom Sawyer")
    await levels.open_door(s["alice"], "real-name", 3)
    alice, tom = s["alice"], s["level2"]
    await tom.message(FACE, "Good day")
    await alice.until(lambda: alice.bodies(levels.face(LEVEL2)) == ["Good day"])
    if answered:
        await alice.message(levels.face(LEVEL2), "Good day, Tom")
        await tom.until(lambda: tom.bodies(FACE) == ["Good day, Tom"])
    await levels.open_door(alice, "real-name")
    await tom.message(FACE, "And again")
    error = await tom.expect(lambda each: each.get("type") == "error" and xml.sender(each) == FACE)
    assert xml.condition(error) == "forbidden"
    assert await card(tom, ALICE) == ["alice"]
    await alice.message(levels.face(LEVEL2), "I may still answer")
    await tom.until(lambda: "I may still answer" in tom.bodies(FACE))


async def test_whom_the_owner_blocks_is_no_longer_told_the_name_that_they_wrote_under(around_alice):
    s = await around_alice()
    await names(s, alice="Alice Liddell", level2="Tom Sawyer")
    await levels.open_door(s["level2"], "real-name", 5)
    await s["alice"].message(levels.face(LEVEL2), "Good day")
    await s["level2"].until(lambda: s["level2"].bodies(FACE))
    assert await card(s["level2"], ALICE) == ["Alice Liddell"]
    await s["alice"].block(LEVEL2)

    async def is_hidden() -> bool:
        return await card(s["level2"], ALICE) == ["alice"]

    await eventually(is_hidden, what="the block list is known")


async def test_nothing_of_a_chat_is_lost_or_doubled_when_rapport_is_killed(around_alice):
    s = await around_alice()
    await names(s, alice="Alice Liddell", level2="Tom Sawyer")
    await levels.open_door(s["alice"], "real-name", 3)
    lines = [f"line {number}" for number in range(30)]
    for number, line in enumerate(lines):
        await s["level2"].message(FACE, line)
        if number % 10 == 5:
            await s.rapport.kill()
            await s.rapport.launch()
    await s.rapport.linked()
    alice = s["alice"]
    await alice.until(lambda: len(alice.bodies(levels.face(LEVEL2))) >= len(lines), within=30)
    await s.settled("level2")
    assert alice.bodies(levels.face(LEVEL2)) == lines


# --- introductions ---


async def introduce(client, to: str, **more) -> commands.Answer:
    form = await commands.execute(client, "introduce")
    return await commands.submit(client, form, {"owner": ALICE, "to": to, "text": "We both play chess", **more})


@pytest.fixture
async def introducing(around_alice):
    async def make():
        s = await around_alice()
        await levels.open_door(s["alice"], "contacts", 3)
        return s

    return make


async def test_an_introduction_says_who_through_whom_why_and_how_to_add_them(introducing):
    s = await introducing()
    await names(s, level2="Tom Sawyer")
    answer = await introduce(s["level2"], "level3@localhost", use_real_name=True)
    assert answer.status == "completed"
    got = await s["level3"].expect(lambda each: xml.body(each) is not None)
    text = xml.body(got) or ""
    for part in ("Tom Sawyer", ALICE, "We both play chess", f"xmpp:{LEVEL2}?roster"):
        assert part in text
    assert got.get("from") == commands.CHAT


async def test_a_real_name_is_said_only_by_consent(introducing):
    s = await introducing()
    await names(s, level2="Tom Sawyer")
    await introduce(s["level2"], "level3@localhost", use_real_name=False)
    got = await s["level3"].expect(lambda each: xml.body(each) is not None)
    assert "Sawyer" not in xml.dump(got)


async def test_an_introduction_to_somebody_who_cannot_be_seen_is_refused(introducing):
    s = await introducing()
    for asker, to in (("level2", "level1@localhost"), ("level4", "level3@localhost"), ("level2", "stranger@localhost")):
        with pytest.raises(commands.CommandError, match="forbidden"):
            await introduce(s[asker], to)


async def test_nobody_is_introduced_through_themselves(introducing):
    s = await introducing()
    form = await commands.execute(s["alice"], "introduce")
    again = await commands.submit(s["alice"], form, {"owner": ALICE, "to": "level3@localhost", "text": "hello"})
    assert (again.status, again.notes) == ("executing", [("error", "Through whom (owner): that is you")])
    assert (await commands.run(s["alice"], "access-log")).rows == []


async def test_one_introduction_a_day_to_the_same_person(introducing):
    s = await introducing()
    await introduce(s["level2"], "level3@localhost")
    again = await introduce(s["level2"], "level3@localhost")
    assert again.status == "executing"
    assert "a day" in again.text
    assert (await introduce(s["level1"], "level3@localhost")).status == "completed"
    await s["level3"].settled()
    assert len(s["level3"].bodies(commands.CHAT)) == 2


@pytest.mark.parametrize("how", ["blocks the asker", "blocks the asker's domain", "opted out"])
async def test_who_wants_no_introduction_gets_none_and_the_asker_is_not_told(introducing, how):
    s = await introducing()
    if how == "opted out":
        await commands.run(s["level3"], "listable", {"listable": False})
    else:
        await s["level3"].block(LEVEL2 if how == "blocks the asker" else "localhost")
    answer = await introduce(s["level2"], "level3@localhost")
    told = await introduce(s["level1"], "level3@localhost") if how == "blocks the asker" else None
    assert answer.status == "completed"
    assert told is None or told.text == answer.text
    await s["level3"].settled()
    assert len(s["level3"].bodies(commands.CHAT)) == (0 if told is None else 1)
