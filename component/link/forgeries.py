"""Counts stanzas that pretend to be the link's, and logs each sender at most once a minute (spec/00-overview.md)."""

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

QUIET = 60.0
"""Seconds between two log lines about one sender."""
REMEMBERED = 1000
"""Senders whose last log line is remembered; past that the oldest is forgotten."""


class Forgeries:
    def __init__(self, now: Callable[[], float]) -> None:
        self.count = 0
        self._now = now
        self._senders: dict[str, tuple[float, int]] = {}

    def seen(self, sender: str) -> None:
        """One more from this bare JID."""
        self.count += 1
        logged_at, unlogged = self._senders.pop(sender, (float("-inf"), 0))
        if self._now() >= logged_at + QUIET:
            log.warning("link.forged sender=%s count=%d", sender, unlogged + 1)
            logged_at, unlogged = self._now(), -1
        self._senders[sender] = (logged_at, unlogged + 1)
        if len(self._senders) > REMEMBERED:
            del self._senders[next(iter(self._senders))]
