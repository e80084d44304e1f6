"""S4's service with a store and a ledger of its own, against a fake server and clock (spec/30-levels.md)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from component.commands.model import Refused
from component.ledger.engine import Database
from component.ledger.facts import Ledger
from component.levels.service import STEP, Levels, Writer
from component.levels.store import RealName, Store
from component.ports import LinkDown
from component.rules.doors import Door, Effect
from component.rules.facts import Message
from component.rules.levels import Labels, Scale
from component.rules.rosters import Item, Subscription
from stanzas.levels import NO_LEVEL
from stanzas.vcards import Card
from tests.fakes import FakeClock, FakeServer, item

ALICE, BOB, CAROL, EVE = "alice@example.org", "bob@example.org", "carol@example.org", "eve@example.org"
DAY = 86_400.0
T = TypeVar("T")


class World:
    def __init__(self, database: Database, ledger: Ledger) -> None:
        self.clock = FakeClock(1_764_040_000.0)
        self.server = FakeServer(rosters={ALICE: {BOB: item(BOB), CAROL: item(CAROL)}, BOB: {}, CAROL: {}})
        self.ledger = ledger
        self.store = Store(database)
        self.levels = self.build()

    def build(self, **scale: Any) -> Levels:
        return Levels("rapport.example.org", self.server, self.ledger, self.store, self.clock, Scale(**scale), ["example.org"])

    async def messages(self, sender: str, recipient: str, count: int, age: float = 0.0) -> None:
        for number in range(count):
            at = self.clock.now() - age - number * 1e-3
            await self.ledger.record(Message(sender, recipient, at, f"{age}-{number}"))

    async def ends(self, question: Awaitable[T]) -> tuple[T | BaseException, float]:
        """What comes of a question, and how long it took by the clock; time passes only while the question waits for it."""
        began = self.clock.now()
        asking = asyncio.ensure_future(question)
        async with asyncio.timeout(10):
            while not asking.done():
                await asyncio.wait({asking}, timeout=0.01)
                if not asking.done() and self.clock.waiting:
                    self.clock.run(STEP / 10)
        return asking.exception() or asking.result(), self.clock.now() - began


@pytest.fixture
async def world(sqlite_url: str) -> Any:
    database = await Database.open(sqlite_url)
    yield World(database, await Ledger.open(database))
    await database.close()


async def level(levels: Levels, contact: str) -> int:
    return next(each.closeness.level for each in await levels.contacts(ALICE) if each.jid == contact)


@pytest.mark.parametrize(
    ("sent", "received", "expected"), [(0, 0, 5), (11, 11, 1), (6, 6, 2), (3, 3, 3), (1, 1, 4), (30, 0, 5), (30, 1, 4), (0, 30, 5)]
)
async def test_a_level_is_of_what_was_written_both_ways(world: World, sent: int, received: int, expected: int) -> None:
    await world.messages(ALICE, BOB, sent)
    await world.messages(BOB, ALICE, received)
    assert await level(world.levels, BOB) == expected


async def test_a_level_falls_when_nothing_is_written_at_the_instant_that_is_named(world: World) -> None:
    await world.messages(ALICE, BOB, 12)
    await world.messages(BOB, ALICE, 12)
    closeness = await world.levels.closeness(ALICE, BOB)
    assert closeness is not None
    assert closeness.level == 1
    assert closeness.until is not None
    world.clock.run(closeness.until - world.clock.now() - 1)
    assert await level(world.levels, BOB) == 1
    world.clock.run(2)
    assert await level(world.levels, BOB) == 2


async def test_replaying_the_ledger_gives_the_same_score_to_the_last_bit(world: World) -> None:
    for age in (400 * DAY, 100 * DAY, 29 * DAY, 0.1, 3 * DAY):
        await world.messages(ALICE, BOB, 3, age)
        await world.messages(BOB, ALICE, 3, age)
    before = await world.levels.closeness(ALICE, BOB)
    await world.ledger.rebuild()
    assert await world.levels.closeness(ALICE, BOB) == before


async def test_a_stranger_has_no_level(world: World) -> None:
    await world.messages(ALICE, EVE, 30)
    await world.messages(EVE, ALICE, 30)
    world.server.rosters[ALICE]["dora@example.org"] = Item("dora@example.org", Subscription.NONE)
    assert {contact.jid for contact in await world.levels.contacts(ALICE)} == {BOB, CAROL}
    assert await world.levels.closeness(ALICE, EVE) is None


async def test_thousands_of_contacts_cost_one_query_of_each_kind(world: World) -> None:
    counted = Counted(world)
    world.server.rosters[ALICE] |= {f"c{number}@example.org": item(f"c{number}@example.org") for number in range(2_000)}
    await world.store.open(ALICE, Door.CONTACTS, frozenset({5}), share_names=False)
    assert len(await counted.levels.contacts_of(BOB, ALICE, None, None)) == 2_001
    assert sorted(counted.asked) == ["blocks", "record", "roster", "scores", "settings"]


class Counted:
    """A service that notes what it asks, in order."""

    def __init__(self, world: World) -> None:
        self.asked: list[str] = []
        self._world = world
        self.levels = Levels("rapport.example.org", self, self, self, world.clock, Scale(), ["example.org"])  # type: ignore[arg-type]

    async def roster(self, user: str) -> object:
        self.asked.append("roster")
        return await self._world.server.roster(user)

    async def blocks(self, user: str) -> object:
        self.asked.append("blocks")
        return await self._world.server.blocks(user)

    async def scores(self, user: str) -> object:
        self.asked.append("scores")
        return await self._world.ledger.scores(user)

    async def settings(self, user: str) -> object:
        self.asked.append("settings")
        return await self._world.store.settings(user)

    async def unlisted(self) -> object:
        return await self._world.store.unlisted()

    async def openers(self) -> object:
        return await self._world.store.openers()

    async def record(self, owner: str, look: Any) -> None:
        self.asked.append("record")
        await self._world.store.record(owner, look)


REFUSALS: dict[str, tuple[str, str, int | None]] = {
    "not open": (BOB, ALICE, 4),
    "level too low": (BOB, ALICE, 1),
    "a stranger": (EVE, ALICE, 3),
    "blocked": (CAROL, ALICE, 3),
    "nothing opened": (ALICE, BOB, 3),
    "unknown owner": (BOB, "nobody@example.org", 3),
}


async def refusing(world: World) -> None:
    """Bob is of level 5, carol is pinned to level 1 and blocked."""
    await world.store.open(ALICE, Door.CONTACTS, frozenset({1, 3, 5}), share_names=False)
    await world.store.label(ALICE, CAROL, Labels((), 1, pinned=True))
    world.server.blocked[ALICE] = {CAROL}


@pytest.mark.parametrize(("asker", "user", "asked"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_every_refusal_takes_the_same_time(world: World, asker: str, user: str, asked: int) -> None:
    await refusing(world)
    outcome, took = await world.ends(world.levels.contacts_of(asker, user, asked, None))
    assert isinstance(outcome, Refused)
    assert took == pytest.approx(STEP, abs=1e-5)


@pytest.mark.parametrize(
    ("user", "asked"),
    [("nobody@example.org", 3), (BOB, 3), (ALICE, 4), (ALICE, NO_LEVEL)],
    ids=["unknown", "nothing opened", "not open", "no level"],
)
async def test_where_nobody_is_let_in_the_contacts_are_not_even_asked_for(world: World, user: str, asked: int) -> None:
    await refusing(world)
    counted = Counted(world)
    outcome, _took = await world.ends(counted.levels.contacts_of(EVE, user, asked, None))
    assert isinstance(outcome, Refused)
    assert sorted(counted.asked) == ["blocks", "record", "settings"]


async def test_the_roster_of_one_who_has_something_open_is_known_before_anybody_asks(world: World) -> None:
    await refusing(world)
    counted = Counted(world)
    await counted.levels.open()
    for change in ("roster", "blocks", "roster"):
        counted.levels.on_changed(ALICE, change)
    counted.levels.on_ready("example.org")
    await counted.levels.settled()
    assert counted.asked == ["roster"], "once for all changes at once"
    counted.levels.on_ready("elsewhere.example")
    counted.levels.on_changed(BOB, "roster")
    await counted.levels.settled()
    assert counted.asked == ["roster"], "not of whom nothing is open"
    counted.levels.on_ready("example.org")
    await counted.levels.settled()
    assert counted.asked == ["roster", "roster"]
    counted.levels.forget(ALICE)
    counted.levels.on_ready("example.org")
    await counted.levels.settled()
    assert counted.asked == ["roster", "roster"]


async def test_rosters_that_nobody_waits_for_hold_up_no_end(world: World) -> None:
    for number in range(100):
        await world.store.open(f"user{number}@example.org", Door.FILES, frozenset({1}), share_names=False)
    counted = Counted(world)
    await counted.levels.open()
    counted.levels.on_ready("example.org")
    await counted.levels.drain()
    assert len(counted.asked) <= 1


async def test_a_roster_that_can_not_be_had_before_is_no_fault(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await refusing(world)
    world.server.up = False
    levels = world.build()
    await levels.open()
    levels.on_ready("example.org")
    await levels.settled()
    assert caplog.records == []


async def test_a_decision_that_takes_longer_than_a_step_is_told_at_the_end_of_the_next_one(world: World) -> None:
    class Slow(FakeServer):
        async def blocks(self, user: str) -> Any:
            world.clock.run(1.3 * STEP)
            return await super().blocks(user)

    world.server = Slow()
    outcome, took = await world.ends(world.build().contacts_of(BOB, ALICE, 3, None))
    assert isinstance(outcome, Refused)
    assert took == pytest.approx(2 * STEP, abs=1e-5)


async def test_what_is_asked_of_nobody_fills_nobodys_log(world: World) -> None:
    await world.ends(world.levels.contacts_of(BOB, "nobody@example.org", 3, None))
    await world.ends(world.levels.contacts_of(BOB, "someone@elsewhere.example", 3, None))
    assert await world.levels.looks("nobody@example.org") == []
    assert await world.levels.looks("someone@elsewhere.example") == []


async def test_without_the_link_nothing_is_known_and_nobody_is_refused(world: World) -> None:
    world.server.up = False
    with pytest.raises(LinkDown):
        await world.levels.contacts_of(BOB, ALICE, 3, None)


@pytest.mark.parametrize(
    ("opened", "expected"), [({5}, Effect(2, 0)), ({1}, Effect(1, 0)), ({1, 2}, Effect(1, 0)), ({2}, Effect(1, 0)), (set(), Effect(0, 0))]
)
async def test_the_effect_counts_contacts_that_are_not_blocked(world: World, opened: set[int], expected: Effect) -> None:
    world.server.rosters[ALICE]["dora@example.org"] = item("dora@example.org")
    world.server.blocked[ALICE] = {"dora@example.org"}
    await world.store.label(ALICE, CAROL, Labels((), 1, pinned=True))
    assert await world.levels.effect(ALICE, Door.FILES, frozenset(opened)) == expected


async def test_a_card_shows_the_name_only_to_those_for_whom_the_door_is_open(world: World) -> None:
    await world.store.set_real_name(ALICE, "example.org", True, RealName("Alice Liddell", "Alice", "Liddell"))
    await world.store.open(ALICE, Door.REAL_NAME, frozenset({5}), share_names=False)
    assert await world.levels.card(BOB, ALICE) == Card("alice", "Alice Liddell", "Alice", "Liddell")
    for asker, user in ((EVE, ALICE), (BOB, "nobody@example.org")):
        card, took = await world.ends(world.levels.card(asker, user))
        assert card == Card(user.partition("@")[0])
        assert took == pytest.approx(STEP, abs=1e-5)


async def test_who_is_blocked_may_not_even_answer(world: World) -> None:
    await world.levels.set_real_name(ALICE, RealName("Alice Liddell"))
    await world.levels.wrote(ALICE, BOB, answers=False)
    assert (await world.levels.writer(BOB, ALICE)) == Writer(None, answers=True)
    assert (await world.ends(world.levels.card(BOB, ALICE)))[0] == Card("Alice Liddell")
    world.server.blocked[ALICE] = {BOB}
    outcome, _took = await world.ends(world.levels.writer(BOB, ALICE))
    assert isinstance(outcome, Refused)
    assert (await world.ends(world.levels.card(BOB, ALICE)))[0] == Card("alice")


async def test_an_answer_is_no_leave_to_write_once_the_door_is_closed(world: World) -> None:
    await world.store.open(ALICE, Door.REAL_NAME, frozenset({5}), share_names=False)
    assert not (await world.levels.writer(BOB, ALICE)).answers
    await world.levels.wrote(BOB, ALICE, answers=False)
    world.server.rosters[BOB] = {}
    assert (await world.levels.writer(ALICE, BOB)).answers
    await world.levels.wrote(ALICE, BOB, answers=True)
    await world.store.open(ALICE, Door.REAL_NAME, frozenset(), share_names=False)
    outcome, _took = await world.ends(world.levels.writer(BOB, ALICE))
    assert isinstance(outcome, Refused)
    await world.levels.wrote(ALICE, BOB, answers=False)
    assert (await world.levels.writer(BOB, ALICE)).answers, "she wrote by his door since"


CAROL_FACE = "carol\\40example.org@rapport.example.org"


async def test_a_face_is_no_contact_of_its_own(world: World) -> None:
    world.server.rosters[ALICE][CAROL_FACE] = item(CAROL_FACE, "to")
    await world.store.open(ALICE, Door.CONTACTS, frozenset({5}), share_names=False)
    await world.levels.set_listable(CAROL, listable=False)
    assert {contact.jid for contact in await world.levels.contacts(ALICE)} == {BOB, CAROL}
    assert not await world.levels.is_contact(ALICE, CAROL_FACE)
    assert await world.levels.contacts_of(BOB, ALICE, None, None) == []
    assert await world.levels.effect(ALICE, Door.FILES, frozenset({5})) == Effect(2, 0)


async def test_who_blocks_a_face_blocks_its_owner(world: World) -> None:
    await world.store.open(ALICE, Door.CONTACTS, frozenset({5}), share_names=False)
    world.server.blocked[ALICE] = {CAROL_FACE}
    outcome, _took = await world.ends(world.levels.contacts_of(CAROL, ALICE, None, None))
    assert isinstance(outcome, Refused)


def introduction_cases() -> Sequence[tuple[str, Callable[[World], object], bool | type[Refused]]]:
    return [
        ("a contact at a level that the asker sees", lambda world: None, True),
        ("who opted out", lambda world: world.levels.set_listable(CAROL, False), False),
        ("who blocks the asker", lambda world: world.server.blocked.update({CAROL: {BOB}}), False),
        ("who blocks the owner", lambda world: world.server.blocked.update({CAROL: {ALICE}}), False),
        ("whom the owner blocks", lambda world: world.server.blocked.update({ALICE: {CAROL}}), False),
        ("who is no contact", lambda world: world.server.rosters[ALICE].pop(CAROL), Refused),
        ("the asker is blocked", lambda world: world.server.blocked.update({ALICE: {BOB}}), Refused),
    ]


@pytest.mark.parametrize(
    ("change", "expected"), [case[1:] for case in introduction_cases()], ids=[case[0] for case in introduction_cases()]
)
async def test_who_gets_an_introduction(world: World, change: Callable[[World], Any], expected: bool | type[Refused]) -> None:
    await world.store.open(ALICE, Door.CONTACTS, frozenset({5}), share_names=False)
    changed = change(world)
    if asyncio.iscoroutine(changed):
        await changed
    outcome, _took = await world.ends(world.levels.introduction(BOB, ALICE, CAROL))
    assert outcome == expected if isinstance(expected, bool) else isinstance(outcome, expected)


async def test_a_user_of_another_server_has_no_face_even_for_themselves(world: World) -> None:
    remote = "bob@elsewhere.example"
    outcome, _took = await world.ends(world.levels.files_of(remote, remote, None))
    assert isinstance(outcome, Refused)


async def test_who_opted_out_is_remembered_after_a_start(world: World, tmp_path: Path) -> None:
    await world.levels.set_listable(CAROL, listable=False)
    again = world.build()
    await again.open()
    assert not again.is_listable(CAROL)
    assert again.is_listable(BOB)


async def test_who_is_forgotten_may_be_listed_again(world: World) -> None:
    await world.levels.set_listable(ALICE, listable=False)
    world.levels.forget(ALICE)
    assert world.levels.is_listable(ALICE)
