"""The component's half of the reliable hand-over (docs/link.md, 2)."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from component.ledger.mark import Handed
from component.link.handover import Handover


class Stored:
    """A database that keeps what it is given, when the test lets it."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.skipped: list[int] = []
        self.acknowledged: list[int] = []
        self.open = asyncio.Event()
        self.open.set()

    def handover(self, mark: Handed | None = None) -> Handover:
        return Handover(mark, self.skip, self.acknowledged.append)

    async def store(self, handed: Handed) -> None:
        await self.open.wait()
        self.numbers.append(handed.n)

    async def skip(self, handed: Handed) -> None:
        self.skipped.append(handed.n)


@pytest.fixture
async def stored() -> Stored:
    return Stored()


def refuse(reason: str) -> Callable[[Handed], Awaitable[object]]:
    async def store(_handed: Handed) -> None:
        raise ValueError(reason)

    return store


async def test_what_was_handed_over_is_acknowledged_once_it_is_stored(stored: Stored) -> None:
    handover = stored.handover()
    handover.begin("e1")
    stored.open.clear()
    for n in (1, 2, 3):
        assert handover.take(n, stored.store)
    assert stored.acknowledged == []
    stored.open.set()
    await handover.drain()
    assert (stored.numbers, stored.acknowledged[-1]) == ([1, 2, 3], 3)


async def test_what_is_handed_over_again_is_stored_once_and_acknowledged_again(stored: Stored) -> None:
    handover = stored.handover(Handed("e1", 2))
    handover.begin("e1")
    assert not handover.take(1, stored.store)
    assert not handover.take(2, stored.store)
    assert handover.take(3, stored.store)
    assert not handover.take(3, stored.store)
    await handover.drain()
    assert (stored.numbers, stored.acknowledged[-1]) == ([3], 3)


async def test_another_epoch_counts_from_one_again(stored: Stored) -> None:
    handover = stored.handover(Handed("e1", 9))
    handover.begin("e2")
    assert handover.mark is None
    assert handover.take(1, stored.store)
    await handover.drain()
    assert handover.mark == Handed("e2", 1)


async def test_an_item_that_can_not_be_stored_holds_up_none_after_it(stored: Stored) -> None:
    handover = stored.handover()
    handover.begin("e1")
    handover.take(1, refuse("broken"))
    handover.take(2, stored.store)
    await handover.drain()
    assert (stored.skipped, stored.numbers, stored.acknowledged[-1]) == ([1], [2], 2)
