"""The component's half of the reliable hand-over (docs/link.md, 2): what came, what is stored, what may be acknowledged."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from component.ledger.mark import Handed

log = logging.getLogger(__name__)

ACK_AFTER = 0.02
"""Seconds for which stored hand-overs are gathered into one acknowledgement."""

Store = Callable[[Handed], Awaitable[object]]
"""Stores what was handed over, in one transaction with the mark."""


class Handover:
    """Counts what the module hands over. Each item is given to its `store` once and acknowledged when that is durable.

    The database has one writer that takes work in order, so what is stored under a number implies all before it.
    """

    def __init__(self, mark: Handed | None, skip: Store, acknowledge: Callable[[int], None]) -> None:
        self.mark = mark
        """The last hand-over that is stored, as the hello tells it."""
        self._skip = skip
        self._acknowledge = acknowledge
        self._seen = mark.n if mark else 0
        self._epoch = mark.epoch if mark else ""
        self._timer: asyncio.TimerHandle | None = None
        self._storing: set[asyncio.Task[None]] = set()

    @property
    def stored(self) -> int:
        """The number of the last hand-over that is stored; 0: none of this epoch."""
        return self.mark.n if self.mark is not None else 0

    def begin(self, epoch: str) -> None:
        """The module's hello named its epoch: another one than before counts from 1 again."""
        if epoch != self._epoch:
            self._epoch, self._seen, self.mark = epoch, 0, None

    def take(self, n: int, store: Store) -> bool:
        """Store item `n` in the background; False if it came before (and is stored, or being stored)."""
        if n <= self._seen:
            self._ack_soon()
            return False
        self._seen = n
        task = asyncio.create_task(self._store(Handed(self._epoch, n), store))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)
        return True

    async def _store(self, handed: Handed, store: Store) -> None:
        try:
            await store(handed)
        except Exception:  # the boundary: an item that can't be stored must not hold up all that come after it
            log.exception("handover.unstorable n=%d", handed.n)
            await self._skip(handed)
        if handed.epoch == self._epoch and (self.mark is None or handed.n > self.mark.n):
            self.mark = handed
        self._ack_soon()

    def _ack_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(ACK_AFTER, self._ack)

    def _ack(self) -> None:
        self._timer = None
        if self.mark is not None:
            self._acknowledge(self.mark.n)

    async def drain(self) -> None:
        """Wait until everything taken is stored, and acknowledge it."""
        while self._storing:
            await asyncio.wait(set(self._storing))
        self._ack()
