"""Importing the server's archives: each message once, by whatever ways it came."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from component.ledger.facts import Handed, Known, Ledger, New
from component.rules.facts import ArchiveId, Bounce, Fact, Message, Read
from component.rules.levels import weight

ALICE, BOB = "alice@h", "bob@h"
AT = 1.7e9

Entries = list[tuple[ArchiveId, Sequence[Fact]]]


def conversation(count: int, step: float = 30.0) -> list[Message]:
    """Bob and alice in turns, some of it without ids, some of it corrected."""
    return [
        Message(*((BOB, ALICE) if n % 3 else (ALICE, BOB)), AT + n * step, f"m{n}" if n % 4 else "", correction=n % 7 == 6)
        for n in range(count)
    ]


def archive(owner: str, messages: Sequence[Message], lag: float = 0.0) -> Entries:
    return [(ArchiveId(owner, f"{owner}-{n}"), [replace(message, at=message.at + lag)]) for n, message in enumerate(messages)]


async def state(ledger: Ledger) -> list[object]:
    return [
        sorted(map(str, await ledger.pairs(ALICE))),
        sorted(map(str, await ledger.scores(ALICE))),
        await ledger.unread(ALICE),
        await ledger.unread(BOB),
    ]


@pytest.mark.parametrize("count", [0, 1, 50, 100, 101])
async def test_an_import_adds_each_entry_once(ledger: Ledger, count: int) -> None:
    entries = archive(ALICE, conversation(count))
    assert await ledger.import_batch(ALICE, entries) == count
    before = await state(ledger)
    assert await ledger.import_batch(ALICE, entries) == 0
    assert await state(ledger) == before
    assert len(await ledger.history(ALICE, BOB, 1_000)) == count


@pytest.mark.parametrize("owners", [(ALICE, BOB), (BOB, ALICE)], ids=["alice first", "bob first"])
async def test_the_archives_of_both_add_no_more_than_one(ledger: Ledger, owners: tuple[str, str]) -> None:
    messages = conversation(40, step=3.0)
    lags = {ALICE: 0.0, BOB: 0.25}
    assert [await ledger.import_batch(owner, archive(owner, messages, lags[owner])) for owner in owners] == [40, 0]
    # Whoever comes first, it is the earlier account that dates a message.
    assert [fact.at for fact in await ledger.history(ALICE, BOB, 100)] == [message.at for message in messages[::-1]]
    total = sum(score.total for score in await ledger.scores(ALICE))
    assert total == sum(weight(message.at, 2_592_000.0)[1] for message in messages if not message.correction)
    before = await state(ledger)
    await ledger.rebuild()
    assert await state(ledger) == before


async def test_what_the_link_told_is_not_imported_again(ledger: Ledger) -> None:
    messages = conversation(30, step=2.0)
    for message in messages:
        await ledger.record(replace(message, archive=ArchiveId(message.recipient, f"{message.recipient}-tap-{message.at}")))
    before = await state(ledger)
    assert (
        await ledger.import_batch(
            ALICE, [(ArchiveId(ALICE, f"{ALICE}-tap-{m.at}" if m.recipient == ALICE else f"own-{m.at}"), [m]) for m in messages]
        )
        == 0
    )
    assert (
        await ledger.import_batch(
            BOB,
            [(ArchiveId(BOB, f"{BOB}-tap-{m.at}" if m.recipient == BOB else f"own-{m.at}"), [replace(m, at=m.at - 0.5)]) for m in messages],
        )
        == 0
    )
    assert await state(ledger) == before


async def test_a_message_that_comes_while_its_archive_is_imported_counts_once(ledger: Ledger) -> None:
    message = Message(BOB, ALICE, AT, "m1", ArchiveId(ALICE, "a1"))
    assert await ledger.import_batch(BOB, [(ArchiveId(BOB, "b1"), [replace(message, at=AT + 1.0)])]) == 1
    assert await ledger.record(message, Handed("e", 1)) == Known()
    assert await ledger.import_batch(ALICE, [(ArchiveId(ALICE, "a1"), [message])]) == 0
    assert await ledger.unread(ALICE) == {BOB: 1}
    (kept,) = await ledger.history(ALICE, BOB, 10)
    assert kept == message
    (pair,) = await ledger.pairs(ALICE)
    assert pair.last_at == pair.new_at == AT
    assert await ledger.record(replace(message, archive=ArchiveId(ALICE, "a2")), Handed("e", 2)) == New()


async def test_taps_and_imports_of_the_same_messages_side_by_side_count_once(ledger: Ledger) -> None:
    messages = [Message(BOB, ALICE, AT + n, "", ArchiveId(ALICE, f"a{n}")) for n in range(200)]

    async def live() -> None:
        for n, message in enumerate(messages):
            await ledger.record(message, Handed("e", n + 1))

    async def imported(owner: str) -> None:
        for start in range(0, len(messages), 20):
            page = [(ArchiveId(owner, f"{owner[0]}{n}"), [replace(messages[n], archive=None)]) for n in range(start, start + 20)]
            await ledger.import_batch(owner, page)

    await asyncio.gather(live(), imported(ALICE), imported(BOB))
    assert await ledger.unread(ALICE) == {BOB: 200}


async def test_a_message_that_bounced_does_not_come_back_by_the_archive(ledger: Ledger) -> None:
    message = Message(BOB, ALICE, AT, "m1")
    await ledger.record_all([message, Bounce(BOB, ALICE, AT + 1.0, "m1")])
    assert await ledger.import_batch(BOB, archive(BOB, [message])) == 0
    assert await ledger.unread(ALICE) == {}


async def test_markers_of_an_archive_read_what_they_name(ledger: Ledger) -> None:
    messages = [Message(BOB, ALICE, AT + n, f"m{n}") for n in range(3)]
    marker = (ArchiveId(ALICE, "a-read"), [Read(ALICE, BOB, AT + 5.0, "m1")])
    assert await ledger.import_batch(ALICE, [*archive(ALICE, messages), marker]) == 4
    assert await ledger.unread(ALICE) == {BOB: 1}
    assert await ledger.import_batch(ALICE, [*archive(ALICE, messages), marker]) == 0


async def test_an_entry_of_another_archive_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match=r"bob@h in the archive of alice@h"):
        await ledger.import_batch(ALICE, archive(BOB, conversation(1)))


async def test_a_large_archive_is_imported_in_few_statements(ledger: Ledger) -> None:
    draw = random.Random(1)
    messages = [
        Message(*((ALICE, other) if draw.random() < 0.5 else (other, ALICE)), AT + n * 20.0, f"m{n}")
        for n, other in enumerate(f"user{draw.randrange(200)}@h" for _ in range(20_000))
    ]
    entries = archive(ALICE, messages)
    began = time.process_time()
    assert await ledger.import_batch(ALICE, entries) == 20_000
    assert await ledger.import_batch(ALICE, entries) == 0
    # Some 50 µs an entry; a query for each would cost ten times that.
    assert time.process_time() - began < 10.0
