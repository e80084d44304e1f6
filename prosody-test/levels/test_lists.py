"""Contact lists by level (spec: contact levels; What may be opened, Asking)."""

import pytest
from rig import commands, levels, xml
from rig.server import Contact, Host
from rig.wait import eventually

ALICE = "alice@localhost"


async def test_of_the_open_levels_1_3_and_5_one_of_level_2_sees_3_and_5_and_not_1(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "contacts", 1, 3, 5)
    two = s["level2"]
    assert set(await levels.contacts(two, ALICE, 3)) == {"level3@localhost"}
    assert set(await levels.contacts(two, ALICE, 5)) == {"level5@localhost"}
    for closed in (1, 2, 4):
        answer = await two.iq("get", levels.roster_query(closed), levels.face(ALICE))
        assert xml.condition(answer) == "forbidden"
    assert set(await levels.contacts(two, ALICE)) == {"level3@localhost", "level5@localhost"}


async def test_a_listed_contact_has_a_group_for_level_and_labels_and_a_name_only_if_names_are_shared(around_alice):
    s = await around_alice()
    label = {"contact": "level4@localhost", "labels": ["colleague", "chess"], "level": "4", "pin": True}
    await commands.run(s["alice"], "label", label)
    await levels.open_door(s["alice"], "contacts", 4)
    assert await levels.contacts(s["level1"], ALICE) == {"level4@localhost": (None, ["Level 4", "colleague", "chess"])}
    await levels.open_door(s["alice"], "contacts", 4, share_names=True)
    assert await levels.contacts(s["level1"], ALICE) == {"level4@localhost": ("Level4", ["Level 4", "colleague", "chess"])}


async def test_a_list_leaves_out_whoever_asks(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "contacts", 1, 2, 3, 4, 5)
    assert set(await levels.contacts(s["level3"], ALICE)) == {"level4@localhost", "level5@localhost"}
    assert await levels.contacts(s["level3"], ALICE, 3) == {}


async def test_a_level_falls_with_time_and_rises_with_messages_by_itself(scene):
    s = await scene("alice", "bob", settings={"levels": {"half_life": "2s", "thresholds": [8, 6, 4, 2]}})
    alice, bob = s["alice"], s["bob"]
    assert await level_of(alice, "bob@localhost") == 5
    for number in range(5):
        await alice.message("bob@localhost", f"to bob {number}")
        await bob.message(ALICE, f"to alice {number}")
    await s.settled()
    assert await level_of(alice, "bob@localhost") <= 2

    async def is_far() -> bool:
        return await level_of(alice, "bob@localhost") == 5

    await eventually(is_far, within=15, what="bob is far again")


@pytest.mark.parametrize(("balance", "expected"), [("mutual", 5), ("total", 1)])
async def test_only_a_total_balance_counts_what_is_not_returned(scene, balance, expected):
    s = await scene("alice", "bob", settings={"levels": {"balance": balance, "thresholds": [4, 3, 2, 1]}})
    for number in range(5):
        await s["bob"].message(ALICE, f"to alice {number}")
    await s.settled("bob")
    assert await level_of(s["alice"], "bob@localhost") == expected


async def test_levels_are_the_same_after_a_restart(scene):
    s = await scene("alice", "bob", settings={"levels": {"balance": "total"}})
    for number in range(6):
        await s["bob"].message(ALICE, f"to alice {number}")
    await s.settled("bob")
    await s.rapport.kill()
    await s.rapport.start()
    assert await level_of(s["alice"], "bob@localhost") == 3


async def level_of(client, contact: str) -> int:
    """As the command `levels` says."""
    rows = dict((await commands.run(client, "levels")).rows)
    return int(rows[contact].removeprefix("level ")[0])


async def test_whoever_is_in_the_roster_without_a_subscription_is_no_contact(scene):
    roster = [Contact("bob@localhost", "none"), Contact("carol@localhost", "to"), Contact("dora@localhost", "from")]
    hosts = [Host(users={"alice": roster, "bob": [], "carol": [], "dora": []})]
    s = await scene("alice", "bob", "carol", hosts=hosts)
    await levels.open_door(s["alice"], "contacts", 5)
    assert set(await levels.contacts(s["carol"], ALICE)) == {"dora@localhost"}
    assert xml.condition(await s["bob"].iq("get", levels.roster_query(5), levels.face(ALICE))) == "forbidden"


async def test_a_roster_change_counts_at_once(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "contacts", 5)
    assert set(await levels.contacts(s["level1"], ALICE)) == {"level5@localhost"}
    await s.server.set_contact("alice", Contact("stranger@localhost", "from"))
    await eventually(lambda: admitted(s["stranger"]), what="the new contact is let in")
    assert set(await levels.contacts(s["stranger"], ALICE)) == {"level5@localhost"}
    await s.server.remove_contact("alice", "level5@localhost")
    await eventually(lambda: refused(s["level5"]), what="the former contact is let in no more")
    assert set(await levels.contacts(s["stranger"], ALICE)) == set()


async def admitted(client) -> bool:
    return (await client.iq("get", levels.roster_query(5), levels.face(ALICE))).get("type") == "result"


async def refused(client) -> bool:
    return not await admitted(client)


async def test_a_label_chooses_among_the_contacts_one_may_see(around_alice):
    s = await around_alice("friend", "boss")
    for name, labels in (("level3", ["work"]), ("level5", ["work", "chess"]), ("level1", ["work"]), ("friend", ["chess"])):
        level = name[-1] if name.startswith("level") else "5"
        await commands.run(s["alice"], "label", {"contact": f"{name}@localhost", "labels": labels, "level": level, "pin": True})
    await levels.open_door(s["alice"], "contacts", 3, 5)
    two = s["level2"]
    assert set(await levels.contacts(two, ALICE, label="work")) == {"level3@localhost", "level5@localhost"}
    assert set(await levels.contacts(two, ALICE, 5, "chess")) == {"level5@localhost", "friend@localhost"}
    assert await levels.contacts(two, ALICE, label="family") == {}
    answer = await commands.run(two, "contacts-of", {"owner": ALICE, "label": "chess"})
    assert {jid for jid, _ in answer.rows} == {"level5@localhost", "friend@localhost"}


async def test_a_label_with_a_level_brings_closer_and_never_takes_away(scene):
    s = await scene("alice", "bob", "carol", settings={"levels": {"balance": "total", "thresholds": [4, 3, 2, 1]}})
    alice = s["alice"]
    for number in range(6):
        await s["bob"].message(ALICE, f"to alice {number}")
    await s.settled("bob")
    for contact in ("bob@localhost", "carol@localhost"):
        await commands.run(alice, "label", {"contact": contact, "labels": ["family"], "level": "2"})
    assert (await level_of(alice, "bob@localhost"), await level_of(alice, "carol@localhost")) == (1, 2)
    await commands.run(alice, "label", {"contact": "bob@localhost", "labels": ["family"], "level": "4", "pin": True})
    await commands.run(alice, "label", {"contact": "carol@localhost", "labels": ["family"]})
    assert (await level_of(alice, "bob@localhost"), await level_of(alice, "carol@localhost")) == (4, 5)


async def test_who_opts_out_stands_in_no_list_and_may_come_back(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "contacts", 5)
    await commands.run(s["level5"], "listable", {"listable": False})
    assert await levels.contacts(s["level1"], ALICE) == {}
    assert "level5@localhost" in dict((await commands.run(s["alice"], "levels")).rows)
    await s.rapport.restart()
    assert await levels.contacts(s["level1"], ALICE) == {}
    await commands.run(s["level5"], "listable", {"listable": True})
    assert set(await levels.contacts(s["level1"], ALICE)) == {"level5@localhost"}


async def test_the_levels_that_one_may_see_are_disco_nodes(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "contacts", 1, 3, 5)
    two, face = s["level2"], levels.face(ALICE)

    async def items(node: str) -> list[tuple[str | None, str | None]]:
        answer = await two.iq("get", f"<query xmlns='{xml.DISCO_ITEMS}'{node and f' node={xml.quoteattr(node)}'}/>", face)
        assert answer.get("type") == "result", xml.dump(answer)
        return [(item.get("jid"), item.get("node")) for item in answer[0]]

    assert await items("") == [(face, "levels")]
    assert await items("levels") == [(face, "levels/3"), (face, "levels/5")]
    assert await items("levels/3") == [("level3@localhost", None)]
    info = await two.iq("get", f"<query xmlns='{xml.DISCO_INFO}'/>", face)
    assert {each.get("var") for each in info[0]} >= {xml.DISCO_ITEMS, levels.LEVELS, levels.FILES, levels.VCARD}


async def test_the_owner_sees_what_another_sees_and_nobody_else_may(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "contacts", 1, 3, 5, share_names=False)

    async def seen(client, **more: str) -> list[tuple[str, str]]:
        return (await commands.run(client, "contacts-of", {"owner": ALICE, **more})).rows

    for name in ("level1", "level2", "level4"):
        assert await seen(s["alice"], **{"as": f"{name}@localhost"}) == await seen(s[name])
    assert {jid for jid, _ in await seen(s["alice"])} == {f"level{number}@localhost" for number in range(1, 6)}
    for asker, other in (("alice", "stranger"), ("level1", "level2"), ("level2", "level2")):
        with pytest.raises(commands.CommandError, match="forbidden"):
            await seen(s[asker], **{"as": f"{other}@localhost"})


async def test_links_and_suggestions_come_only_when_asked_for(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "contacts", 3, 5)
    two = s["level2"]
    start = two.mark()
    await commands.run(two, "contacts-of", {"owner": ALICE})
    await two.settled()
    assert [each for each in two.received[start:] if xml.name(each) == "message"] == []
    await commands.run(two, "contacts-of", {"owner": ALICE, "send_links": True})
    message = await two.expect(lambda each: xml.name(each) == "message")
    body = xml.body(message) or ""
    assert "xmpp:level3@localhost?roster" in body
    assert "xmpp:level5@localhost?roster" in body
    assert xml.child(message, "x") is None
    await commands.run(two, "contacts-of", {"owner": ALICE, "send_items": True})
    message = await two.expect(lambda each: xml.child(each, "x", "http://jabber.org/protocol/rosterx") is not None)
    x = xml.child(message, "x")
    assert x is not None
    assert {item.get("jid") for item in x} == {"level3@localhost", "level5@localhost"}


async def test_opening_says_before_it_saves_how_many_contacts_gain_and_lose(around_alice):
    s = await around_alice()
    alice = s["alice"]
    assert "5 contacts gain by it, 0 lose" in await levels.open_door(alice, "contacts", 5)
    form = await commands.execute(alice, "open")
    asked = await commands.submit(alice, form, {"door": "contacts", "levels": ["3"]})
    assert asked.status == "executing"
    assert "3 contacts gain by it, 5 lose" in asked.text
    assert set(await levels.contacts(s["level4"], ALICE)) == {"level5@localhost"}, "it was saved before"
    await commands.submit(alice, asked, {"confirm": True})
    assert xml.condition(await s["level4"].iq("get", levels.roster_query(), levels.face(ALICE))) == "forbidden"
    asked = await commands.submit(alice, await commands.execute(alice, "open"), {"door": "contacts", "levels": ["5"]})
    await commands.submit(alice, asked, {"confirm": False})
    assert xml.condition(await s["level4"].iq("get", levels.roster_query(), levels.face(ALICE))) == "forbidden"


async def test_a_real_name_is_gained_and_lost_once_however_many_levels_are_open(around_alice):
    s = await around_alice()
    assert "3 contacts gain by it, 0 lose" in await levels.open_door(s["alice"], "real-name", 3)
    assert "2 contacts gain by it, 0 lose" in await levels.open_door(s["alice"], "real-name", 3, 5)
    assert "0 contacts gain by it, 2 lose" in await levels.open_door(s["alice"], "real-name", 1, 3)


async def test_a_door_is_opened_and_closed_by_chat(around_alice):
    s = await around_alice()
    alice = s["alice"]
    assert "5 contacts gain" in await commands.say(alice, "open contacts 3 5")
    assert await commands.say(s["level2"], f"contacts-of {ALICE}") == "You may not do that."
    assert "Saved" in await commands.say(alice, "open contacts 3 5 confirm=yes")
    assert "level3@localhost" in await commands.say(s["level2"], f"contacts-of {ALICE}")
    assert "Saved" in await commands.say(alice, "open contacts levels= confirm=yes")
    assert await commands.say(s["level2"], f"contacts-of {ALICE}") == "You may not do that."


async def test_the_access_log_says_who_asked_for_what_and_what_they_got(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "contacts", 3)
    await s["level2"].iq("get", levels.roster_query(3), levels.face(ALICE))
    await s["stranger"].iq("get", levels.files_query(), levels.face(ALICE))
    await s["level2"].iq("get", levels.roster_query(3), levels.face("nobody@localhost"))
    await commands.run(s["alice"], "contacts-of", {"owner": ALICE, "as": "level2@localhost"})
    rows = (await commands.run(s["alice"], "access-log")).rows
    assert [value for _when, value in rows] == [
        "stranger@localhost, files, all levels, refused",
        "level2@localhost, contacts, level 3, granted",
    ]
    assert (await commands.run(s["level2"], "access-log")).rows == []


async def test_explain_says_level_score_and_reason(around_alice):
    s = await around_alice()
    rows = dict((await commands.run(s["alice"], "explain", {"contact": "level2@localhost"})).rows)
    assert rows["Level"].startswith("2 ")
    assert rows["Level because"] == "pinned to 2"


async def test_what_was_opened_ends_with_the_account(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "contacts", 1, 2, 3, 4, 5)
    await s["alice"].close()
    await s.server.delete_account("alice")
    await s["level1"].settled()
    await s.server.add_account("alice")
    await s.server.set_contact("alice", Contact("level1@localhost"))
    await s.server.set_contact("alice", Contact("level2@localhost"))
    alice = await s.enter("alice")

    async def is_new() -> bool:
        return await level_of(alice, "level1@localhost") == 5

    await eventually(is_new, what="the pins of the account that is gone are forgotten")
    assert xml.condition(await s["level1"].iq("get", levels.roster_query(), levels.face(ALICE))) == "forbidden"
