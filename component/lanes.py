"""Work for one key in order, keys side by side."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)

Work = Callable[[], Coroutine[Any, Any, None]]


class Lanes:
    """Runs coroutines: those of one key one after the other, in the order of `put`. What a work raises is logged, and its lane goes on.

    Args:
        most: lanes that run at a time; the others wait for their turn. None: any number.
    """

    def __init__(self, name: str, most: int | None = None) -> None:
        self._name = name
        self._most = most
        self._waiting: dict[str, deque[Work]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._next: deque[str] = deque()

    def put(self, key: str, work: Work) -> None:
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(work)
            return
        self._waiting[key] = deque([work])
        if self._most is None or len(self._running) < self._most:
            self._start(key)
        else:
            self._next.append(key)

    def _start(self, key: str) -> None:
        self._running[key] = asyncio.create_task(self._run(key), name=f"{self._name}:{key}")

    async def _run(self, key: str) -> None:
        waiting = self._waiting[key]
        while waiting:
            try:
                await waiting.popleft()()
            except Exception:  # the boundary: a fault in one stanza's work must not stop those after it
                log.exception("%s.fault key=%s", self._name, key)
        del self._waiting[key], self._running[key]
        if self._next:
            self._start(self._next.popleft())

    async def idle(self, key: str) -> None:
        """Wait until nothing is left to do for this key. Not from within its lane."""
        while key in self._waiting:
            running = self._running.get(key)
            await asyncio.wait({running} if running else self._running.values(), return_when=asyncio.FIRST_COMPLETED)

    async def drain(self) -> None:
        """Wait until nothing is left to do."""
        while self._running:
            await asyncio.wait(set(self._running.values()))
