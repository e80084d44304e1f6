"""The time, and alarms: one per key, exact to the instant that was asked for."""

import asyncio
import heapq
import time
from collections.abc import Callable

MOST_STALE = 1000
"""Alarms that were set anew or taken back stay in the heap until it holds so many of them."""


class SystemClock:
    """The machine's clock. Alarms share one timer: the next due one (facts/performance.md, 3: never a call_later per window)."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due: dict[str, tuple[float, Callable[[], None]]] = {}
        self._heap: list[tuple[float, str]] = []
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        return time.time()

    def alarm(self, key: str, at: float | None, ring: Callable[[], None]) -> None:
        """Call `ring` at the instant `at` (UNIX seconds), instead of what was set for this key before; None: not at all."""
        if at is None:
            self._due.pop(key, None)
            return
        self._due[key] = (at, ring)
        heapq.heappush(self._heap, (at, key))
        if len(self._heap) > MOST_STALE + 2 * len(self._due):
            self._heap = sorted((at, key) for key, (at, _) in self._due.items())
        if self._heap[0] == (at, key):
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer = self._loop.call_later(max(0.0, self._heap[0][0] - self.now()), self._ring)

    def _ring(self) -> None:
        now = self.now()
        while self._heap and self._heap[0][0] <= now:
            at, key = heapq.heappop(self._heap)
            due = self._due.get(key)
            if due is not None and due[0] == at:  # else: set anew since, or taken back
                del self._due[key]
                due[1]()
        self._arm()
