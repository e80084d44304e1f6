"""Messages that must arrive once: sent, confirmed by the server, and only then removed from the queue."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol
from xml.etree.ElementTree import Element

from component.delivery import Delivery, Stopping
from component.ports import Server
from component.virtual.store import Store


class Queue(Protocol):
    """The part of ledger/queue.py that S3 needs."""

    async def put(self, key: str, payload: bytes, at: float) -> int | None: ...

    def remove(self, ids: Sequence[int]) -> Coroutine[Any, Any, None]: ...


CONFIRM, REMOVE = 0.02, 0.05
"""Seconds for which what was sent is gathered into one question, and what is dealt with into one removal: neither is urgent, and both would
stand in the way of the messages that come next."""


class TooLarge(Exception):
    """The server would not take a stanza of this size; the message says so to whoever wrote it."""

    def __init__(self) -> None:
        super().__init__("The message is too large.")


class Outbox:
    """Sends, and tells each sender whether the server has taken it. What is dealt with is removed from the queue in batches."""

    def __init__(self, server: Server, queue: Queue, store: Store, delivery: Delivery) -> None:
        self._server, self._queue, self._store, self._delivery = server, queue, store, delivery
        self._unconfirmed: list[Callable[[bool], None]] = []
        self._dealt: list[int] = []
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, stanza: Element, once: str, then: Callable[[bool], None]) -> bool:
        """Send a stanza; False: the stream is down, nothing was sent. `then` is told whether the server has taken it.

        If not, the stream broke, and nobody knows: sent again with the same `once`, it arrives once. Raises TooLarge.
        """
        if not self._server.send(stanza, once):
            if not self._server.fits(stanza):
                raise TooLarge
            return False
        self._unconfirmed.append(then)
        self._later(CONFIRM, self._confirm_all)
        return True

    def deliver(self, stanza: Element, once: str, then: Callable[[], None]) -> None:
        """Send a stanza of Rapport's own, after each loss of the stream again, until the server has taken it; `then` is told."""
        self._run(self._deliver(stanza, once, then))

    async def _deliver(self, stanza: Element, once: str, then: Callable[[], None]) -> None:
        with contextlib.suppress(Stopping):
            await self._delivery.deliver(stanza, once)
            then()

    def dealt(self, queued: int) -> None:
        """A message of the queue is dealt with: it leaves the queue after what was noted of it is durable."""
        self._dealt.append(queued)
        self._later(REMOVE, self._remove_all)

    async def drain(self) -> None:
        """Wait until everything sent is confirmed or lost, and what is dealt with is removed."""
        while self._timers or self._tasks:
            for work, timer in list(self._timers.items()):
                timer.cancel()
                work()
            await asyncio.wait(set(self._tasks))

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        if work not in self._timers:
            self._timers[work] = asyncio.get_running_loop().call_later(seconds, work)

    def _confirm_all(self) -> None:
        del self._timers[self._confirm_all]
        told, self._unconfirmed = self._unconfirmed, []
        self._run(self._confirm(told))

    async def _confirm(self, told: Sequence[Callable[[bool], None]]) -> None:
        taken = await self._server.confirmed()
        for then in told:
            then(taken)

    def _remove_all(self) -> None:
        del self._timers[self._remove_all]
        dealt, self._dealt = self._dealt, []
        self._store.hurry()
        self._run(self._queue.remove(dealt))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
