"""The ledger: what counts once, what is unread, what follows from it, in whatever order and grouping it comes."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from component.ledger.engine import Database
from component.ledger.facts import Handed, Known, Ledger, New
from component.rules.facts import ArchiveId, Bounce, Fact, Kind, Message, Pair, Read, RoomMessage, RoomRead, Score
from component.rules.levels import score_at, weight

ALICE, BOB, CAROL = "alice@h", "bob@x", "carol@h"
HALF_LIFE = 2_592_000.0


def wrote(at: float, identity: str = "", sender: str = BOB, recipient: str = ALICE, correction: bool = False) -> Message:
    return Message(sender, recipient, at, identity, correction=correction)


async def record(ledger: Ledger, *facts: Fact) -> list[bool]:
    """All at once, as the writer gets them when it is busy; whether each was new."""
    outcomes = await asyncio.gather(*(ledger.record(fact) for fact in facts))
    assert all(isinstance(outcome, New | Known) for outcome in outcomes)
    return [isinstance(outcome, New) for outcome in outcomes]


# --- pairs and what is unread ---


async def test_a_ledger_that_knows_nobody_answers_with_nothing(ledger: Ledger) -> None:
    assert await ledger.pairs(ALICE) == []
    assert await ledger.unread(ALICE) == {}
    assert await ledger.scores(ALICE) == []
    assert await ledger.history(ALICE, BOB, 10) == []
    assert await ledger.mark() is None


async def test_pairs_where_nothing_is_recent_can_be_left_out(ledger: Ledger) -> None:
    await record(ledger, wrote(100.0, "m1"), wrote(103.0, "c1", ALICE, CAROL))
    assert [pair.recipient for pair in await ledger.pairs(ALICE, 101.0)] == [CAROL]
    assert len(await ledger.pairs(ALICE, 100.0)) == 2
    assert await ledger.pairs(ALICE, 104.0) == []


async def test_a_pair_is_told_to_both_of_its_users(ledger: Ledger) -> None:
    await record(ledger, wrote(100.0, "m1"), wrote(105.0, "m2"), wrote(103.0, "c1", ALICE, CAROL))
    bobs = Pair(BOB, ALICE, last_at=105.0, new_at=105.0)
    to_carol = Pair(ALICE, CAROL, last_at=103.0, new_at=103.0)
    assert sorted(await ledger.pairs(ALICE), key=str) == [to_carol, bobs]
    assert await ledger.pairs(BOB) == [bobs]
    assert await ledger.pairs(CAROL) == [to_carol]


async def test_messages_are_unread_until_a_marker_names_them_or_a_later_one(ledger: Ledger) -> None:
    await record(ledger, wrote(1.0, "m1"), wrote(2.0, "m2"), wrote(3.0, "m3"), wrote(3.5, "c1", CAROL))
    assert await ledger.unread(ALICE) == {BOB: 3, CAROL: 1}
    await record(ledger, Read(ALICE, BOB, 4.0, "m2"))
    assert await ledger.unread(ALICE) == {BOB: 1, CAROL: 1}
    await record(ledger, Read(ALICE, CAROL, 5.0, "c1"), Read(ALICE, BOB, 5.0, "m3"))
    assert await ledger.unread(ALICE) == {}


async def test_an_answer_reads_all_that_came_before_it(ledger: Ledger) -> None:
    await record(ledger, wrote(1.0, "m1"), wrote(2.0, "m2"), wrote(3.0, "a1", ALICE, BOB), wrote(4.0, "m3"))
    assert await ledger.unread(ALICE) == {BOB: 1}
    assert await ledger.unread(BOB) == {}
    await record(ledger, wrote(5.0, "a2", ALICE, BOB, correction=True))
    assert await ledger.unread(ALICE) == {}


@pytest.mark.parametrize(
    "read",
    [
        Read(ALICE, BOB, 9.0, "m_invented"),
        Read(ALICE, BOB, 9.0, "c1"),
        Read(ALICE, BOB, 9.0, ""),
        Read(ALICE, BOB, 9.0, archive=ArchiveId(ALICE, "nothing")),
        Read(ALICE, BOB, 9.0, archive=ArchiveId(BOB, "m3")),
        Read(BOB, ALICE, 9.0, "m3"),
        Read(CAROL, BOB, 9.0, "m3"),
        Read(ALICE, BOB, 2.5, "m3"),
    ],
    ids=[
        "an invented id",
        "another's message",
        "no id",
        "no archive id",
        "no archive's",
        "one's own message",
        "not its reader",
        "of later",
    ],
)
async def test_a_marker_that_names_nothing_changes_nothing(ledger: Ledger, read: Read) -> None:
    await record(ledger, wrote(1.0, "m1"), wrote(2.0, "m2"), wrote(3.0, "m3"), wrote(3.0, "c1", CAROL))
    before = await ledger.pairs(ALICE)
    assert await record(ledger, read) == [False]
    assert await ledger.unread(ALICE) == {BOB: 3, CAROL: 1}
    assert await ledger.pairs(ALICE) == before


async def test_a_marker_for_what_was_read_before_is_nothing_new(ledger: Ledger) -> None:
    await record(ledger, wrote(1.0, "m1"), wrote(2.0, "m2"))
    assert await record(ledger, Read(ALICE, BOB, 3.0, "m2"), Read(ALICE, BOB, 4.0, "m2"), Read(ALICE, BOB, 5.0, "m1")) == [
        True,
        False,
        False,
    ]
    assert await ledger.unread(ALICE) == {}


async def test_a_marker_means_the_newest_message_of_an_id_that_was_used_again(ledger: Ledger) -> None:
    await record(ledger, wrote(1.0, "m"), wrote(2.0, "other"), wrote(3.0, "m"), wrote(4.0, "m"), Read(ALICE, BOB, 3.5, "m"))
    assert await ledger.unread(ALICE) == {BOB: 1}


async def test_a_read_state_names_a_message_by_its_archive_id(ledger: Ledger) -> None:
    first, second = (replace(wrote(at, "same"), archive=ArchiveId(ALICE, f"a{at:g}")) for at in (1.0, 2.0))
    await record(ledger, first, second, Read(ALICE, BOB, 3.0, archive=ArchiveId(ALICE, "a1")))
    assert await ledger.unread(ALICE) == {BOB: 1}
    await record(ledger, Read(ALICE, BOB, 4.0, archive=ArchiveId(ALICE, "a2")))
    assert await ledger.unread(ALICE) == {}


async def test_a_correction_is_activity_and_nothing_new_to_read(ledger: Ledger) -> None:
    await record(ledger, wrote(1.0, "m1"), wrote(2.0, "m2", correction=True))
    assert await ledger.unread(ALICE) == {BOB: 1}
    assert await ledger.pairs(ALICE) == [Pair(BOB, ALICE, last_at=2.0, new_at=1.0)]
    assert await ledger.scores(ALICE) == [Score(BOB, ALICE, *weight(1.0, HALF_LIFE))]
    await record(ledger, Read(ALICE, BOB, 3.0, "m2"))
    assert await ledger.unread(ALICE) == {}


async def test_a_bounced_message_does_not_count_after_all(ledger: Ledger) -> None:
    await record(ledger, wrote(1.0, "m1"), wrote(2.0, "m2"))
    assert await record(ledger, Bounce(BOB, ALICE, 3.0, "m2")) == [True]
    assert await ledger.unread(ALICE) == {BOB: 1}
    assert await ledger.pairs(ALICE) == [Pair(BOB, ALICE, last_at=1.0, new_at=1.0)]
    assert await ledger.scores(BOB) == [Score(BOB, ALICE, *weight(1.0, HALF_LIFE))]
    assert await record(ledger, Bounce(BOB, ALICE, 4.0, "m1")) == [True]
    assert await ledger.pairs(ALICE) == [Pair(BOB, ALICE)]
    assert await ledger.scores(BOB) == []


async def test_a_bounce_means_the_newest_message_of_its_id_and_each_only_once(ledger: Ledger) -> None:
    await record(ledger, wrote(1.0, "m"), wrote(2.0, "m"), wrote(5.0, "m"))
    assert await record(ledger, *(Bounce(BOB, ALICE, 3.0, "m") for _ in range(3)), Bounce(BOB, ALICE, 9.0, "invented")) == [
        True,
        True,
        False,
        False,
    ]
    assert await ledger.unread(ALICE) == {BOB: 1}


async def test_what_has_no_id_counts_each_time(ledger: Ledger) -> None:
    assert await record(ledger, wrote(1.0), wrote(1.0), wrote(1.1)) == [True, True, True]
    assert await ledger.unread(ALICE) == {BOB: 3}


async def test_ids_of_any_length_are_told_apart(ledger: Ledger) -> None:
    one, other = "x" * 10_000 + "1", "x" * 10_000 + "2"
    await record(ledger, wrote(1.0, one), replace(wrote(2.0, other), archive=ArchiveId(ALICE, other)), Read(ALICE, BOB, 3.0, one))
    assert await ledger.unread(ALICE) == {BOB: 1}
    await record(ledger, Read(ALICE, BOB, 4.0, archive=ArchiveId(ALICE, other)))
    assert await ledger.unread(ALICE) == {}


async def test_history_is_the_newest_facts_between_two_newest_first(ledger: Ledger) -> None:
    facts: list[Fact] = [
        replace(wrote(1.0, "m1"), archive=ArchiveId(ALICE, "a1"), kind=Kind.FILE),
        wrote(2.0, "m2"),
        Read(ALICE, BOB, 3.0, "m2"),
        wrote(4.0, "m3", ALICE, BOB, correction=True),
        Bounce(ALICE, BOB, 5.0, "m3"),
    ]
    await record(ledger, *facts, wrote(6.0, "elsewhere", CAROL))
    assert await ledger.history(ALICE, BOB, 10) == facts[::-1]
    assert await ledger.history(BOB, ALICE, 2) == facts[:-3:-1]


# --- rooms ---

ROOM = "talk@rooms.h"
SAID = RoomMessage(ALICE, ROOM, 2.0, "m1", ArchiveId(ROOM, "a1"), named=((CAROL, Kind.MENTION),))


async def test_what_is_said_in_a_room_is_no_message_between_users(ledger: Ledger) -> None:
    assert await record(ledger, wrote(1.0, "m0"), SAID, wrote(3.0, "m2")) == [True, True, True]
    for _ in range(2):
        assert await ledger.unread(CAROL) == {}
        assert {pair.sender: pair.last_at for pair in await ledger.pairs(ALICE, 0.5)} == {BOB: 3.0}
        assert await ledger.scores(CAROL) == []
        assert [score.sender for score in await ledger.scores(ALICE)] == [BOB]
        assert await ledger.history(ALICE, ROOM, 10) == await ledger.history(ROOM, CAROL, 10) == []
        await ledger.rebuild()


async def test_a_read_in_a_room_is_kept_if_we_know_of_something_said_there(ledger: Ledger) -> None:
    read = RoomRead(CAROL, ROOM, 4.0, "a1")
    assert await record(ledger, read, SAID, read) == [False, True, True]
    assert await ledger.unread(CAROL) == {}


# --- the link's mark ---


async def test_what_was_handed_over_before_is_known(ledger: Ledger) -> None:
    first, second = Handed("e", 1), Handed("e", 2)
    assert await ledger.record(wrote(1.0, "m1"), first) == New()
    assert await ledger.record(wrote(1.0, "m1"), first) == Known()
    outcomes = await asyncio.gather(ledger.record(wrote(2.0, "m2"), second), ledger.record(wrote(2.0, "m2"), second))
    assert outcomes == [New(), Known()]
    assert await ledger.mark() == second
    assert await ledger.unread(ALICE) == {BOB: 2}


async def test_the_facts_of_one_hand_over_come_together(ledger: Ledger) -> None:
    await record(ledger, wrote(1.0, "a1", ALICE, BOB))
    told = [wrote(2.0, "m1"), Read(BOB, ALICE, 2.0, "a1")]
    assert await ledger.record_all(told, Handed("e", 1)) == [New(), New()]
    assert await ledger.record_all(told, Handed("e", 1)) == [Known(), Known()]
    assert await ledger.unread(BOB) == {}


async def test_another_run_of_the_counter_starts_anew(ledger: Ledger) -> None:
    await ledger.record(wrote(1.0, "m1"), Handed("e", 7))
    assert await ledger.record(wrote(2.0, "m2"), Handed("f", 1)) == New()
    assert await ledger.mark() == Handed("f", 1)


async def test_what_makes_no_fact_is_counted_all_the_same(ledger: Ledger) -> None:
    await ledger.acknowledge(Handed("e", 3))
    await ledger.acknowledge(Handed("e", 2))
    assert await ledger.mark() == Handed("e", 3)
    assert await ledger.record(wrote(1.0, "m1"), Handed("e", 3)) == Known()


async def test_mark_and_facts_are_there_after_a_restart(storage_url: str) -> None:
    database = await Database.open(storage_url)
    ledger = await Ledger.open(database)
    await ledger.record(wrote(1.0, "m1"), Handed("e", 1))
    await database.close()
    database = await Database.open(storage_url)
    ledger = await Ledger.open(database)
    assert await ledger.mark() == Handed("e", 1)
    assert await ledger.record(wrote(1.0, "m1"), Handed("e", 1)) == Known()
    assert await ledger.unread(ALICE) == {BOB: 1}
    await database.close()


async def test_what_fails_in_a_commit_leaves_no_half_known_jids(database: Database, ledger: Ledger) -> None:
    class Broken(Exception):
        pass

    def fail(_connection: object) -> None:
        raise Broken

    outcomes = await asyncio.gather(ledger.record(wrote(1.0, "m1")), database.write(fail), return_exceptions=True)
    assert outcomes[0] == New()
    assert isinstance(outcomes[1], Broken)
    await record(ledger, wrote(2.0, "m2", CAROL), wrote(3.0, "m3"))
    assert await ledger.unread(ALICE) == {BOB: 2, CAROL: 1}


# --- scores ---


async def test_scores_do_not_depend_on_the_order_of_arrival(ledger: Ledger) -> None:
    instants = [1.7e9 + day * 86_400.0 * 1.37 for day in range(200)]
    await record(ledger, *(wrote(at, "", BOB, ALICE) for at in instants))
    await record(ledger, *(wrote(at, "", CAROL, ALICE) for at in instants[::-1]))
    scores = await ledger.scores(ALICE)
    of = {sender: sorted((score.epoch, score.total) for score in scores if score.sender == sender) for sender in (BOB, CAROL)}
    assert of[BOB] == of[CAROL]
    assert len(of[BOB]) > 1
    now = instants[-1] + 1000.0
    expected = sum(2 ** ((at - now) / HALF_LIFE) for at in instants)
    assert score_at(of[BOB], HALF_LIFE, now) == pytest.approx(expected, rel=1e-8)


async def test_another_half_life_makes_the_scores_anew(database: Database, ledger: Ledger) -> None:
    await record(ledger, wrote(1e9, "m1"), wrote(1e9 + 5.0, "m2"), wrote(1e9 + 6.0, "m3"), Bounce(BOB, ALICE, 1e9 + 7.0, "m3"))
    changed = await Ledger.open(database, half_life=10.0)
    expected = weight(1e9, 10.0)[1] + weight(1e9 + 5.0, 10.0)[1]
    assert sum(score.total for score in await changed.scores(ALICE)) == expected
    again = await Ledger.open(database, half_life=HALF_LIFE)
    assert sum(score.total for score in await again.scores(ALICE)) == weight(1e9, HALF_LIFE)[1] + weight(1e9 + 5.0, HALF_LIFE)[1]


async def test_a_sum_of_weights_has_a_bound(database: Database) -> None:
    ledger = await Ledger.open(database, half_life=1.0)
    at = 1e9 - 1e-3
    heavy = weight(at, 1.0)[1]
    facts = [wrote(at) for _ in range(1_000)]
    totals = []
    for _ in range(2):
        await ledger.record_all(facts)
        totals += [score.total for score in await ledger.scores(ALICE)]
    assert totals == [1_000 * heavy, 2_000 * heavy]


# --- laws ---

_numbers = itertools.count()
_settings = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

people = st.sampled_from(["alice", "bob", "carol"])
ids = st.sampled_from(["", "m1", "m2"])
gaps = st.sampled_from([0.0, 0.5, 3.0, 20.0, 86_400.0])


@st.composite
def stories(draw: st.DrawFn) -> list[Fact]:
    """What happened between three people, in its order."""
    facts: list[Fact] = []
    at = 1.7e9
    for _ in range(draw(st.integers(1, 25))):
        at += draw(gaps)
        one, other = draw(st.permutations(["alice", "bob", "carol"]))[:2]
        kind = draw(st.integers(0, 5))
        if kind <= 2:
            archive = draw(st.none() | st.just(ArchiveId(other, f"a{len(facts)}")))
            facts.append(Message(one, other, at, draw(ids), archive, correction=kind == 2))
        elif kind <= 4:
            archived = [fact.archive for fact in facts if isinstance(fact, Message) and fact.archive and fact.archive.by == one]
            archive = draw(st.sampled_from(archived)) if archived and draw(st.booleans()) else None
            facts.append(Read(one, other, at, "" if archive else draw(ids), archive))
        else:
            facts.append(Bounce(one, other, at, draw(ids)))
    return facts


def _moved(fact: Fact, domain: str) -> Fact:
    """The same among people of their own, so that examples share a database."""
    changes: dict[str, object] = {
        name: f"{getattr(fact, name)}@{domain}" for name in ("sender", "recipient", "reader", "writer") if hasattr(fact, name)
    }
    archive = getattr(fact, "archive", None)
    if archive is not None:
        changes["archive"] = ArchiveId(f"{archive.by}@{domain}", f"{archive.id}-{domain}")
    return replace(fact, **changes)  # type: ignore[arg-type]  # names of the fact's own fields


async def _state(ledger: Ledger, domain: str) -> list[object]:
    """All that can be asked, with the domain left out."""
    state: list[object] = []
    for name in ("alice", "bob", "carol"):
        user = f"{name}@{domain}"
        state += sorted(str(pair).replace(f"@{domain}", "") for pair in await ledger.pairs(user))
        state += sorted(str(score).replace(f"@{domain}", "") for score in await ledger.scores(user))
        state.append(sorted((writer.partition("@")[0], count) for writer, count in (await ledger.unread(user)).items()))
    return state


class Model:
    """The same in a few lines of memory, to the letter of spec/00-overview.md."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.reads: list[tuple[str, str, float]] = []

    def read_at(self, reader: str, writer: str) -> float:
        return max((upto for who, whom, upto in self.reads if (who, whom) == (reader, writer)), default=0.0)

    def add(self, fact: Fact) -> None:
        match fact:
            case Message():
                self.messages.append(fact)
            case Read(reader, writer, at, identity, archive):
                between = [m for m in self.messages if (m.sender, m.recipient) == (writer, reader)]
                if archive is not None:
                    named = [m.at for m in between if m.archive == archive]
                else:
                    named = [m.at for m in between if identity and m.id == identity and m.at <= at]
                if named:
                    self.reads.append((reader, writer, max(named)))
            case Bounce(sender, recipient, at, identity):
                named_messages = [m for m in self.messages if (m.sender, m.recipient, m.id) == (sender, recipient, identity) and m.at <= at]
                if named_messages:
                    newest = max(m.at for m in named_messages)
                    last = next(m for m in reversed(self.messages) if m in named_messages and m.at == newest)
                    self.messages.reverse()
                    self.messages.remove(last)
                    self.messages.reverse()

    def unread(self, reader: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for message in self.messages:
            answered = max((m.at for m in self.messages if (m.sender, m.recipient) == (reader, message.sender)), default=0.0)
            if message.recipient == reader and not message.correction and message.at > max(answered, self.read_at(reader, message.sender)):
                counts[message.sender] = counts.get(message.sender, 0) + 1
        return counts

    def newest(self, sender: str, recipient: str, corrections: bool) -> float:
        return max(
            (m.at for m in self.messages if (m.sender, m.recipient) == (sender, recipient) and m.correction <= corrections), default=0.0
        )


@_settings
@given(story=stories(), cuts=st.lists(st.integers(1, 24)))
async def test_however_facts_are_grouped_the_ledger_says_what_the_spec_says(ledger: Ledger, story: Sequence[Fact], cuts: list[int]) -> None:
    domain = f"d{next(_numbers)}"
    facts = [_moved(fact, domain) for fact in story]
    model = Model()
    for fact in facts:
        model.add(fact)
    bounds = [0, *sorted(cut for cut in set(cuts) if cut < len(facts)), len(facts)]
    for start, end in itertools.pairwise(bounds):
        await record(ledger, *facts[start:end])
    for name in ("alice", "bob", "carol"):
        user = f"{name}@{domain}"
        assert await ledger.unread(user) == model.unread(user)
        for pair in await ledger.pairs(user):
            assert pair.last_at == model.newest(pair.sender, pair.recipient, True)
            assert pair.new_at == model.newest(pair.sender, pair.recipient, False)
            assert pair.read_at == model.read_at(pair.recipient, pair.sender)


@_settings
@given(story=stories())
async def test_what_is_derived_can_be_dropped_and_replayed(ledger: Ledger, story: Sequence[Fact]) -> None:
    domain = f"d{next(_numbers)}"
    await record(ledger, *(_moved(fact, domain) for fact in story))
    before = await _state(ledger, domain)
    await ledger.rebuild()
    assert await _state(ledger, domain) == before
