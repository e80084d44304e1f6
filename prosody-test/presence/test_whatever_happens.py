"""S0, whatever happens in whatever order: in the end each contact sees what `why` says of them."""

import random
import time

import pytest
from rig import commands, xml
from rig.wait import eventually, until

PEOPLE = ("alice", "bob", "carol", "dora")
SHOWS = ("online", "chat", "away", "xa", "dnd")
WINDOWS = ("1s", "30m")
SHORT = 1.0


async def writes(s, chance, user, other):
    await s[user].message(f"{other}@localhost", "hello")


async def reads(s, chance, user, other):
    got = [each for each in s[user].received if xml.body(each) and xml.sender(each) == f"{other}@localhost"]
    if got:
        await s[user].displayed(f"{other}@localhost", chance.choice(got).get("id"))


async def changes_presence(s, chance, user, other):
    await s[user].presence(chance.choice(SHOWS), chance.choice([None, "busy bee"]))


async def comes_back(s, chance, user, other):
    await (s[user].cut() if chance.random() < 0.5 else s[user].close())
    await s.enter(user, show=chance.choice(SHOWS))


async def sets_rules(s, chance, user, other):
    windows = {name: chance.choice(WINDOWS) for name in ("sent_window", "received_window", "unread_max_age")}
    outcomes = {case: chance.choice([*SHOWS, "offline"]) for case in ("talking", "unanswered", "busy", "free")}
    await s.set_rules(user, **windows, **outcomes)


async def opts_out(s, chance, user, other):
    await s.set_rules(user, enabled=False)


async def fixes_a_presence(s, chance, user, other):
    who = chance.choice([f"{other}@localhost", "group:Friends"])
    await s.always(who, chance.choice([*SHOWS, "offline", "rules"]), chance.choice(["", "1s"]), user)


async def sorts_the_roster(s, chance, user, other):
    await s[user].roster_set(f"{other}@localhost", groups=chance.choice([["Friends"], []]))


async def cancels(s, chance, user, other):
    await s[user].presence(to=f"{other}@localhost", type="unsubscribed")


async def rapport_dies(s, chance, user, other):
    await s.rapport.kill()
    await s.rapport.start()


HAPPENS = {
    writes: 30,
    reads: 12,
    changes_presence: 15,
    comes_back: 8,
    sets_rules: 12,
    opts_out: 4,
    fixes_a_presence: 8,
    sorts_the_roster: 4,
    cancels: 1,
    rapport_dies: 2,
}


async def said(s, user, other):
    """What `why` says of a contact: how they see the user's only session; None: they do not see it."""
    why = await commands.say(s[user], f"why {other}@localhost")
    shown = next(line for line in why.splitlines() if line.startswith("Presence: ")).removeprefix("Presence: ").split(" ")[0].rstrip(",")
    return None if shown in ("nothing", "offline") else shown


@pytest.mark.parametrize("seed", range(3))
async def test_in_the_end_each_contact_sees_what_why_says(scene, seed):
    chance = random.Random(seed)
    s = await scene(*PEOPLE)
    # At a user who sends unsubscribed ejabberd 23.01 ends both directions, at the contact one.
    weights = {**HAPPENS, cancels: HAPPENS[cancels] if s.server.kind == "prosody" else 0}
    for _ in range(60):
        user, other = chance.sample(PEOPLE, 2)
        (happens,) = chance.choices(list(weights), list(weights.values()))
        await happens(s, chance, user, other)
    for user in PEOPLE:
        await sets_rules(s, chance, user, user)
        await s[user].message(f"{chance.choice([each for each in PEOPLE if each != user])}@localhost", "the last word")
    last = time.time()
    await until(lambda: time.time() > last + SHORT, what="the end of the short windows")
    pairs = [(user, other) for user in PEOPLE for other in PEOPLE if user != other]
    wrong = []

    async def right():
        await s.settled()
        seen = {(user, other): s[other].shows(f"{user}@localhost").get("phone") for user, other in pairs}
        told = {pair: await said(s, *pair) for pair in pairs}
        wrong[:] = [f"{pair[1]} sees {pair[0]} {seen[pair]}, not {told[pair]}" for pair in pairs if seen[pair] != told[pair]]
        return not wrong

    try:
        await eventually(right, 20, "all see what they should")
    except TimeoutError:
        pytest.fail("; ".join(wrong))
