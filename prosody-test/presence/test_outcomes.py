"""S0, outcomes: the less available wins, `offline`, and `always` (spec: Decision and What the contact receives)."""

import itertools
import time

import pytest
from rig import commands, xml
from rig.server import Contact

# Most available first.
ORDER = ["chat", "online", "away", "dnd", "xa", "offline"]


def less_available(one: str, other: str) -> str:
    return max(one, other, key=ORDER.index)


async def test_of_own_show_and_outcome_the_less_available_is_shown(scene):
    s = await scene("alice", "bob")
    await s.set_rules()
    alice, bob = s["alice"], s["bob"]
    own, outcome = "online", "online"
    start = bob.mark()
    expected: list[str] = []
    for new_outcome in ORDER:
        await s.always("bob@localhost", new_outcome)
        outcome = new_outcome
        for new_own in (None, *ORDER[:-1]):
            if new_own is not None:
                own = new_own
                await alice.presence(own)
                await alice.settled()
            # `online` passes the own presence on unchanged.
            shown = own if outcome == "online" else less_available(own, outcome)
            await bob.sees("alice@localhost", shown)
            expected.append(shown)
    await s.settled()
    seen = ["online", *bob.saw("alice@localhost", start)]
    changes = [show for show, _ in itertools.groupby(["online", *expected])]
    assert seen == changes


async def test_offline_shows_a_contact_one_unavailable_and_no_second(scene, client):
    s = await scene("alice/a", "bob", "carol")
    await s.set_rules()
    alice, bob = s["alice"], s["bob"]
    start = bob.mark()
    await s.always("bob@localhost", "offline")
    await bob.sees("alice@localhost", "offline")
    gone = bob.presences("alice@localhost", start)
    assert [(each.get("from"), xml.show(each), len(each)) for each in gone] == [("alice@localhost/a", "offline", 0)]
    await alice.presence("away")
    await s["carol"].sees("alice@localhost", "away")
    late = await client(s.server, "bob@localhost/late")
    await alice.presence(type="unavailable")
    await s["carol"].sees("alice@localhost", "offline")
    await s.settled()
    assert bob.saw("alice@localhost", start) == ["offline"]
    await late.settled()
    assert "away" not in late.saw("alice@localhost")


async def test_a_contact_who_was_shown_offline_gets_no_second_unavailable_when_the_session_dies(scene):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    start = s["bob"].mark()
    await s.always("bob@localhost", "offline")
    await s["bob"].sees("alice@localhost", "offline")
    await s["alice"].cut()
    await s["carol"].sees("alice@localhost", "offline")
    await s["bob"].settled()
    assert s["bob"].saw("alice@localhost", start) == ["offline"]


async def test_who_is_to_see_the_user_offline_learns_neither_of_a_login_nor_by_asking(scene, client):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    await s.always("bob@localhost", "offline")
    await s["bob"].sees("alice@localhost", "offline")
    start = s["bob"].mark()
    await s["alice"].close()
    await s["carol"].sees("alice@localhost", "offline")
    await s.enter("alice")
    await s["carol"].sees("alice@localhost", "online")
    await s.settled()
    late = await client(s.server, "bob@localhost/late")
    await late.settled()
    await s.settled()
    await late.ping()
    await s.rapport.restart()
    await s["alice"].presence("away")
    await s["carol"].sees("alice@localhost", "away")
    await s["alice"].close()
    await s["carol"].sees("alice@localhost", "offline")
    await s.settled("bob")
    assert s["bob"].saw("alice@localhost", start) == []
    assert late.saw("alice@localhost") == []


async def test_a_login_that_is_first_hidden_is_shown_when_the_rule_ends(scene):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    await s.always("bob@localhost", "offline")
    await s["bob"].sees("alice@localhost", "offline")
    await s["alice"].close()
    await s["carol"].sees("alice@localhost", "offline")
    await s.enter("alice")
    await s["carol"].sees("alice@localhost", "online")
    await s.always("bob@localhost", "xa")
    await s["bob"].sees("alice@localhost", "xa")
    await s["alice"].close()
    await s["bob"].sees("alice@localhost", "offline")


async def test_a_session_that_was_shown_offline_comes_back(scene):
    s = await scene("alice", "bob")
    await s.set_rules()
    await s.always("bob@localhost", "offline")
    await s["bob"].sees("alice@localhost", "offline")
    await s.always("bob@localhost", "rules")
    await s["bob"].sees("alice@localhost", "online")
    await s["alice"].close()
    await s["bob"].sees("alice@localhost", "offline")
    assert s["bob"].saw("alice@localhost")[-3:] == ["offline", "online", "offline"]


async def test_a_fixed_outcome_for_a_contact_beats_the_table_until_it_ends(scene):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    await s.always("bob@localhost", "xa")
    await s["bob"].sees("alice@localhost", "xa")
    await s["bob"].message("alice@localhost", "hello")
    await s["alice"].message("bob@localhost", "hello")
    await s["carol"].sees("alice@localhost", "online")
    await s.settled()
    assert s["bob"].shows("alice@localhost") == {"phone": "xa"}
    await s.always("bob@localhost", "rules")
    await s["bob"].sees("alice@localhost", "online")


async def test_a_fixed_outcome_with_a_duration_ends_by_itself(scene):
    s = await scene("alice", "bob")
    await s.set_rules()
    before = time.time()
    await s.always("bob@localhost", "dnd", "2s")
    await s["bob"].sees("alice@localhost", "dnd")
    after = time.time()
    await s["bob"].sees("alice@localhost", "online", within=6)
    back = s["bob"].arrived(s["bob"].presences("alice@localhost")[-1])
    assert before + 2 <= back <= after + 2 + 1


async def test_always_by_chat(scene):
    s = await scene("alice", "bob")
    await s.set_rules()
    assert await commands.say(s["alice"], "always bob@localhost dnd 1s")
    await s["bob"].sees("alice@localhost", "dnd")
    await s["bob"].sees("alice@localhost", "online")
    assert await commands.say(s["alice"], "always BOB@LocalHost xa")
    await s["bob"].sees("alice@localhost", "xa")
    assert await commands.say(s["alice"], "always bob@localhost rules")
    await s["bob"].sees("alice@localhost", "online")


async def test_a_rule_for_a_contact_beats_one_for_a_group_and_of_groups_the_first_by_name(scene):
    s = await scene("alice", "bob", "carol")
    await s.server.set_contact("alice", Contact("bob@localhost", groups=("Zoo", "Art")))
    await s.set_rules()
    await s.always("group:Zoo", "xa")
    await s["bob"].sees("alice@localhost", "xa")
    await s.always("group:Art", "away")
    await s["bob"].sees("alice@localhost", "away")
    await s.always("bob@localhost", "dnd")
    await s["bob"].sees("alice@localhost", "dnd")
    await s.always("bob@localhost", "rules")
    await s["bob"].sees("alice@localhost", "away")
    await s.always("group:Art", "rules")
    await s["bob"].sees("alice@localhost", "xa")
    assert set(s["carol"].saw("alice@localhost")) == {"online"}


async def test_a_contact_moved_between_groups_sees_the_new_groups_outcome_at_once(scene):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    await s.always("group:Work", "xa")
    await s.server.set_contact("alice", Contact("bob@localhost", groups=("Work",)))
    await s["bob"].sees("alice@localhost", "xa")
    await s["alice"].roster_set("carol@localhost", "Carol", ["Work", "Other"])
    await s["carol"].sees("alice@localhost", "xa")
    await s["alice"].roster_set("bob@localhost", "Bob", ["Other"])
    await s["bob"].sees("alice@localhost", "online")
    await s.server.set_contact("alice", Contact("carol@localhost"))
    await s["carol"].sees("alice@localhost", "online")


@pytest.mark.parametrize(
    ("who", "outcome", "duration"),
    [("not a jid@@", "dnd", ""), ("bob@localhost", "asleep", ""), ("bob@localhost", "dnd", "soon"), ("", "dnd", "")],
)
async def test_a_rule_that_makes_no_sense_is_refused_with_the_form_again(scene, who, outcome, duration):
    s = await scene("alice", "bob")
    await s.set_rules()
    form = await commands.execute(s["alice"], "presence-always")
    again = await commands.submit(s["alice"], form, {"who": who, "outcome": outcome, "for": duration})
    assert again.status == "executing"
    assert [kind for kind, _ in again.notes] == ["error"]
    assert set(s["bob"].saw("alice@localhost")) == {"online"}


async def test_a_users_outcome_for_a_case_replaces_the_default(scene):
    s = await scene("alice", "bob", "carol")
    await s.set_rules(busy="offline", unanswered="xa")
    await s["carol"].message("alice@localhost", "unread")
    await s["bob"].sees("alice@localhost", "offline")
    await s["carol"].sees("alice@localhost", "xa")
    await s["alice"].message("carol@localhost", "answer")
    await s["bob"].sees("alice@localhost", "online")
    await s["carol"].sees("alice@localhost", "online")
