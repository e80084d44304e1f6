"""Messages that must arrive once: sent, confirmed by the server, and only then removed from the queue."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol
from xml.etree.ElementTree import Element

from component.ports import Server
from component.virtual.store import Store


class Queue(Protocol):
    """The part of ledger/queue.py that S3 needs."""

    async def put(self, key: str, payload: bytes, at: float) -> int | None: ...

    def remove(self, ids: Sequence[int]) -> Coroutine[Any, Any, None]: ...


class Outbox:
    """Sends, and tells each sender whether the server has taken it. What is dealt with is removed from the queue in batches."""

    def __init__(self, server: Server, queue: Queue, store: Store) -> None:
        self._server, self._queue, self._store = server, queue, store
        self._unconfirmed: list[Callable[[bool], None]] = []
        self._dealt: list[int] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._confirming = False

    def send(self, stanza: Element, once: str, then: Callable[[bool], None]) -> bool:
        """Send a stanza; False: the stream is down, nothing was sent. `then` is told whether the server has taken it.

        If not, the stream broke, and nobody knows: sent again with the same `once`, it arrives once.
        """
        if not self._server.send(stanza, once):
            return False
        self._unconfirmed.append(then)
        if not self._confirming:
            self._confirming = True
            self._run(self._confirm())
        return True

    def dealt(self, queued: int) -> None:
        """A message of the queue is dealt with: it leaves the queue after what was noted of it is durable."""
        if not self._dealt:
            asyncio.get_running_loop().call_soon(self._remove)
        self._dealt.append(queued)

    async def drain(self) -> None:
        """Wait until everything sent is confirmed or lost, and what is dealt with is removed."""
        while self._tasks or self._dealt:
            self._remove()
            await asyncio.wait(set(self._tasks))

    async def _confirm(self) -> None:
        while self._unconfirmed:
            told, self._unconfirmed = self._unconfirmed, []
            taken = await self._server.confirmed()
            for then in told:
                then(taken)
        self._confirming = False

    def _remove(self) -> None:
        if not self._dealt:
            return
        dealt, self._dealt = self._dealt, []
        self._store.hurry()
        self._run(self._queue.remove(dealt))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
