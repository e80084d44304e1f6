"""S0 through restarts, crashes and stalls: nothing forgotten, nothing doubled, fail-open (spec: When, The gate)."""

import signal
import time

import pytest
from rig import xml
from rig.wait import until


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request):
    """None is SQLite in a directory of its own."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres").database()


async def busy(scene, *args, **kwargs):
    """alice has an unread message of carol's: bob sees dnd, carol away."""
    s = await scene("alice", "bob", "carol", *args, **kwargs)
    await s.set_rules()
    await s["carol"].message("alice@localhost", "unread")
    await s["bob"].sees("alice@localhost", "dnd")
    await s["carol"].sees("alice@localhost", "away")
    return s


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_a_restart_of_rapport_forgets_nothing_and_repeats_nothing(scene, storage, end):
    s = await busy(scene, storage=storage)
    starts = {name: s[name].mark() for name in ("bob", "carol")}
    await getattr(s.rapport, end)()
    await s.rapport.start()
    await s.settled()
    for name, show in {"bob": "dnd", "carol": "away"}.items():
        # "Nobody is sent what they already saw more than once per restart."
        assert s[name].saw("alice@localhost", starts[name]) in ([], [show])
    await s["alice"].message("carol@localhost", "answered")
    await s["bob"].sees("alice@localhost", "online")
    await s["carol"].sees("alice@localhost", "online")


async def test_what_happens_while_rapport_is_away_counts_when_it_is_back(scene, storage):
    s = await busy(scene, storage=storage)
    await s.rapport.kill()
    start = s["bob"].mark()
    await s["alice"].presence("chat", "own words")
    await s["alice"].message("carol@localhost", "answer")
    await s["bob"].message("alice@localhost", "new")
    for name in ("alice", "bob"):
        await s[name].ping()
    assert s["bob"].saw("alice@localhost", start) == []
    await s.rapport.start()
    await s["bob"].sees("alice@localhost", "away")
    await s["carol"].sees("alice@localhost", "chat")
    await s.settled()
    assert set(s["bob"].saw("alice@localhost", start)) <= {"dnd", "away"}


async def test_a_window_that_ran_out_while_rapport_was_away_is_over_when_it_is_back(scene):
    s = await scene("alice", "bob")
    await s.set_rules(talking="online", free="xa", sent_window="1s")
    await s["alice"].message("bob@localhost", "hello")
    await s["bob"].sees("alice@localhost", "online")
    sent = time.time()
    await s.rapport.kill()
    await until(lambda: time.time() > sent + 1)
    await s.rapport.start()
    await s["bob"].sees("alice@localhost", "xa")


async def test_after_a_restart_of_the_server_nobody_sees_the_wrong_state(scene):
    s = await busy(scene)
    await s.server.restart()
    await s.enter("bob")
    await s.enter("alice")
    await s["bob"].sees("alice@localhost", "dnd", within=30)
    await s["alice"].presence("away")
    await s.rapport.linked()
    await s.settled()
    assert set(s["bob"].saw("alice@localhost")) == {"dnd"}


async def test_while_rapport_is_away_unavailable_passes_at_once(scene):
    s = await busy(scene)
    await s.rapport.kill()
    await s["alice"].close()
    await s["bob"].sees("alice@localhost", "offline")
    await s["carol"].sees("alice@localhost", "offline")


async def test_past_the_grace_the_truth_is_shown_until_rapport_is_back(scene):
    s = await busy(scene, grace=2)
    bob = s["bob"]
    await s.rapport.kill()
    away_since = time.time()
    await bob.sees("alice@localhost", "online", within=10)
    opened = bob.arrived(bob.presences("alice@localhost")[-1])
    assert opened >= away_since + 1.5
    await s["carol"].sees("alice@localhost", "online")
    await s["alice"].presence("away", "plain XMPP")
    await bob.sees("alice@localhost", "away")
    await s["alice"].presence()
    await bob.sees("alice@localhost", "online")
    await s.rapport.start()
    await bob.sees("alice@localhost", "dnd")
    await s["carol"].sees("alice@localhost", "away")


async def test_who_opted_in_is_remembered_by_the_server_within_the_same_grace(scene):
    s = await busy(scene, grace=3)
    await s.rapport.kill()
    await s.server.restart()
    await s.enter("bob")
    since = time.time()
    await s.enter("alice")
    await s["bob"].sees("alice@localhost", "online", within=10)
    assert s["bob"].arrived(s["bob"].presences("alice@localhost")[0]) >= since + 1


@pytest.mark.allow_errors
async def test_a_stalled_rapport_opens_the_gate_and_takes_over_again(scene):
    s = await busy(scene, grace=2)
    s.rapport.signal(signal.SIGSTOP)
    await s["bob"].message("alice@localhost", "is anybody there?")
    await s["bob"].sees("alice@localhost", "online", within=10)
    s.rapport.signal(signal.SIGCONT)
    await s["bob"].sees("alice@localhost", "away", within=30)
    await s["carol"].sees("alice@localhost", "away", within=30)


async def test_many_kills_under_load_lose_and_double_nothing(scene):
    s = await scene("alice", "bob", "carol", "dora")
    await s.set_rules()
    for round_ in range(3):
        for number in range(20):
            await s["carol"].message("alice@localhost", f"{round_}.{number}")
        await s.rapport.kill()
        await s.rapport.start()
    await s["bob"].sees("alice@localhost", "dnd")
    await s["alice"].until(lambda: len(s["alice"].bodies("carol@localhost")) == 60)
    last = next(each for each in reversed(s["alice"].received) if xml.body(each) == "2.19")
    await s["alice"].displayed("carol@localhost", last.get("id"))
    await s["bob"].sees("alice@localhost", "online")
    await s.settled()
    assert s["bob"].shows("alice@localhost") == {"phone": "online"}
