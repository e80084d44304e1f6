"""S0, the decision table end to end: messages, reads and windows (spec: presence rules, Decision and When)."""

import re
import time

import pytest
from rig import commands, xml

# Four outcomes that can be told apart (chat would be shown as online).
TELLING = {"talking": "online", "unanswered": "away", "busy": "dnd", "free": "xa"}


async def test_each_row_of_the_decision_table_shows_its_outcome(scene):
    s = await scene("alice", "both", "sent", "received", "neither", "carol")
    await s.set_rules(**TELLING)
    alice = s["alice"]
    await alice.message("both@localhost", "one")
    await alice.message("sent@localhost", "two")
    for name in ("both", "received"):
        message = await s[name].message("alice@localhost", "three")
        await alice.until(lambda name=name: alice.bodies(f"{name}@localhost"))
        await alice.displayed(f"{name}@localhost", message)
    for name, show in {"both": "online", "sent": "online", "received": "away", "neither": "xa", "carol": "xa"}.items():
        await s[name].sees("alice@localhost", show)
    await s["carol"].message("alice@localhost", "unread")
    for name, show in {"neither": "dnd", "carol": "away", "both": "online", "sent": "online", "received": "away"}.items():
        await s[name].sees("alice@localhost", show)
    await s.settled()
    for name, show in {"neither": "dnd", "carol": "away", "both": "online", "sent": "online", "received": "away"}.items():
        assert s[name].shows("alice@localhost") == {"phone": show}


async def test_the_default_outcomes_are_those_of_the_table(scene):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    await s["bob"].message("alice@localhost", "are you there?")
    await s["bob"].sees("alice@localhost", "away")
    await s["carol"].sees("alice@localhost", "dnd")
    await s["alice"].message("bob@localhost", "yes")
    await s["bob"].sees("alice@localhost", "online")
    await s["carol"].sees("alice@localhost", "online")


async def test_each_window_runs_out_at_its_own_end_and_not_before(scene):
    s = await scene("alice", "bob")
    await s.set_rules(**TELLING, sent_window="1s", received_window="3s")
    alice, bob = s["alice"], s["bob"]
    await bob.sees("alice@localhost", "xa")
    received_after = time.time()
    await bob.message("alice@localhost", "hello")
    await bob.sees("alice@localhost", "away")
    received_before = time.time()
    sent_after = time.time()
    await alice.message("bob@localhost", "hello yourself")
    await bob.sees("alice@localhost", "online")
    sent_before = time.time()
    await bob.sees("alice@localhost", "away", within=5)
    assert sent_after + 1 <= bob.arrived(bob.presences("alice@localhost")[-1]) <= sent_before + 1 + 1
    await bob.sees("alice@localhost", "xa", within=5)
    assert received_after + 3 <= bob.arrived(bob.presences("alice@localhost")[-1]) <= received_before + 3 + 1
    assert bob.saw("alice@localhost")[-5:] == ["xa", "away", "online", "away", "xa"]


async def test_a_later_message_prolongs_the_window(scene):
    s = await scene("alice", "bob")
    await s.set_rules(**TELLING, sent_window="2s")
    alice, bob = s["alice"], s["bob"]
    await bob.sees("alice@localhost", "xa")
    await alice.message("bob@localhost", "one")
    await bob.sees("alice@localhost", "online")
    first = time.time()
    await bob.nothing(lambda stanza: xml.show(stanza) == "xa", during=1)
    prolonged = time.time()
    await alice.message("bob@localhost", "two")
    await bob.sees("alice@localhost", "xa", within=6)
    assert bob.arrived(bob.presences("alice@localhost")[-1]) >= prolonged + 2 > first + 3


async def test_an_unread_message_no_longer_counts_past_its_age(scene):
    s = await scene("alice", "bob", "carol")
    await s.set_rules(received_window="1s", unread_max_age="3s")
    before = time.time()
    await s["carol"].message("alice@localhost", "unread")
    await s["bob"].sees("alice@localhost", "dnd")
    after = time.time()
    await s["bob"].sees("alice@localhost", "online", within=6)
    bob = s["bob"]
    assert before + 3 <= bob.arrived(bob.presences("alice@localhost")[-1]) <= after + 3 + 1
    await s["carol"].sees("alice@localhost", "online")
    assert s["carol"].saw("alice@localhost")[-3:] == ["away", "dnd", "online"]


async def read_by_marker(alice, message):
    await alice.displayed("carol@localhost", message.get("id"))


async def read_by_answer(alice, message):
    await alice.message("carol@localhost", "thanks")


async def read_by_published_state(alice, message):
    archived = next(each for each in xml.children(message, "stanza-id", "urn:xmpp:sid:0") if each.get("by") == "alice@localhost")
    answer = await alice.iq(
        "set",
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:mds:displayed:0'>"
        "<item id='carol@localhost'><displayed xmlns='urn:xmpp:mds:displayed:0'>"
        f"<stanza-id xmlns='urn:xmpp:sid:0' by='alice@localhost' id='{archived.get('id')}'/>"
        "</displayed></item></publish></pubsub>",
    )
    assert answer.get("type") == "result", xml.dump(answer)


@pytest.mark.parametrize("read", [read_by_marker, read_by_answer, read_by_published_state])
async def test_reading_the_last_message_reads_the_earlier_ones_too_and_ends_busy(scene, read):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    alice, bob, carol = s["alice"], s["bob"], s["carol"]
    for number in range(3):
        await carol.message("alice@localhost", f"message {number}")
    await bob.sees("alice@localhost", "dnd")
    await alice.until(lambda: len(alice.bodies("carol@localhost")) == 3)
    last = next(each for each in reversed(alice.received) if xml.body(each) == "message 2")
    await read(alice, last)
    await bob.sees("alice@localhost", "online")


async def test_reading_an_earlier_message_leaves_the_later_one_unread(scene):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    first = await s["carol"].message("alice@localhost", "one")
    await s["carol"].message("alice@localhost", "two")
    await s["bob"].sees("alice@localhost", "dnd")
    await s["alice"].displayed("carol@localhost", first)
    await s.settled()
    assert s["bob"].shows("alice@localhost") == {"phone": "dnd"}


NO_MESSAGES = {
    "a chat state": "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
    "a receipt": "<received xmlns='urn:xmpp:receipts' id='x'/>",
    "a marker that was received": "<received xmlns='urn:xmpp:chat-markers:0' id='x'/>",
    "an empty body": "<body/>",
    "a key exchange": "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/></encrypted>",
    "a retraction": "<retract xmlns='urn:xmpp:message-retract:1' id='x'/><body>/me retracted</body>",
    "an old message": "<body>old</body><delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/>",
}


@pytest.mark.parametrize("payload", NO_MESSAGES.values(), ids=NO_MESSAGES.keys())
async def test_what_is_no_message_changes_nothing(scene, payload):
    s = await scene("alice", "bob")
    await s.set_rules(**TELLING)
    await s["bob"].sees("alice@localhost", "xa")
    start = s["bob"].mark()
    await s["bob"].message("alice@localhost", extra=payload)
    await s["bob"].message("alice@localhost", "a headline is none either", type="headline")
    await s.settled("bob")
    await s.settled("alice")
    assert s["bob"].saw("alice@localhost", start) == []


MESSAGES = {
    "an encrypted message": "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:example:enc'/>",
    "OMEMO with a payload": ("<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/><payload>QUJD</payload></encrypted>"),
    "OMEMO 2 with a payload": "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'/><payload>QUJD</payload></encrypted>",
}


@pytest.mark.parametrize("payload", MESSAGES.values(), ids=MESSAGES.keys())
async def test_an_encrypted_message_counts_as_one(scene, payload):
    s = await scene("alice", "bob")
    await s.set_rules(**TELLING)
    await s["bob"].message("alice@localhost", extra=payload)
    await s["bob"].sees("alice@localhost", "away")


async def test_a_message_by_an_offline_contact_and_to_an_offline_user_counts(scene):
    s = await scene("alice", "bob")
    await s.set_rules(**TELLING)
    await s["bob"].sees("alice@localhost", "xa")
    await s["alice"].close()
    await s["bob"].sees("alice@localhost", "offline")
    await s["bob"].message("alice@localhost", "when you are back")
    await s.settled("bob")
    await s.enter("alice")
    await s["bob"].sees("alice@localhost", "away")
    assert s["bob"].saw("alice@localhost")[-2:] == ["offline", "away"]


async def test_the_settings_by_chat_and_by_form_are_the_same(scene):
    s = await scene("alice", "bob", "carol")
    assert await commands.say(s["alice"], "presence on")
    form = await commands.execute(s["alice"], "presence")
    assert form.values["enabled"] in (["1"], ["true"])
    assert [form.values[field] for field in ("sent_window", "received_window", "unread_max_age")] in (
        [["30m"], ["30m"], [day]] for day in ("24h", "1d")
    )
    shown = {case: form.values[case] for case in TELLING}
    assert shown == {"talking": ["online"], "unanswered": ["away"], "busy": ["dnd"], "free": ["online"]}
    assert [case for case in TELLING if f"status_{case}" not in form.values] == []
    await s["bob"].message("alice@localhost", "hello")
    await s["bob"].sees("alice@localhost", "away")
    await s["carol"].sees("alice@localhost", "dnd")
    assert await commands.say(s["alice"], "presence off")
    await s["bob"].sees("alice@localhost", "online")
    await s["carol"].sees("alice@localhost", "online")


@pytest.mark.parametrize("window", ["0s", "500ms", "31d", "soon", "-5m"])
async def test_a_window_outside_of_1_s_to_30_d_is_refused_and_the_reason_names_the_field(scene, window):
    s = await scene("alice", "bob")
    form = await commands.execute(s["alice"], "presence")
    again = await commands.submit(s["alice"], form, {"enabled": True, "sent_window": window})
    assert again.status == "executing"
    assert again.form is not None
    assert any(kind == "error" for kind, _ in again.notes)
    assert "sent_window" in again.text or "sent" in (xml.text(again.form, "instructions") or "").lower()
    good = await commands.submit(s["alice"], again, {"enabled": True, "sent_window": "1s", "received_window": "30d"})
    assert good.status == "completed"


async def test_why_tells_the_case_what_is_shown_and_when_it_changes(scene):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    await s["bob"].message("alice@localhost", "hello")
    await s["bob"].sees("alice@localhost", "away")
    await s["carol"].sees("alice@localhost", "dnd")
    why = await commands.say(s["alice"], "why bob@localhost")
    assert "away (unanswered)" in why
    assert re.search(r"you wrote: never.*they wrote \d+s ago.*unread message, from bob@localhost, \d+s ago", why)
    assert re.search(r"Changes: at .* UTC \(in (30m|29m5\ds)\)", why)
    table = await commands.run(s["alice"], "explain", {"contact": ""})
    rows = dict(table.rows)
    assert "away" in rows["bob@localhost"]
    assert "dnd" in rows["carol@localhost"]
    form = await commands.run(s["alice"], "explain", {"contact": "carol@localhost"})
    assert "busy" in form.text
    assert "dnd" in form.text
    await s["alice"].message("bob@localhost", "answer")
    await s["bob"].sees("alice@localhost", "online")
    assert "online, own presence (talking)" in await commands.say(s["alice"], "why bob@localhost")
    await s["alice"].presence("xa")
    await s["bob"].sees("alice@localhost", "xa")
    assert "xa, own presence (talking)" in await commands.say(s["alice"], "why bob@localhost")
