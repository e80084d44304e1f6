"""Fills the ledger from the server's message archive (`rapport import-archive`): who wrote to whom and when, no text."""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from component.link.server import Link
from component.link.tap import tapped
from component.ports import IqError, LinkDown
from component.rules.facts import ArchiveId, Fact
from component.rules.messages import facts_of

log = logging.getLogger(__name__)

PAGE = 250
"""Archive entries asked for at once."""


class Entries(Protocol):
    """The part of the ledger that an import fills."""

    async def import_batch(self, owner: str, entries: Sequence[tuple[ArchiveId, Sequence[Fact]]]) -> int:
        """Add what is not there yet; how many facts were new."""


class Importer:
    def __init__(self, server: Link, ledger: Entries, served_hosts: Sequence[str]) -> None:
        self._server = server
        self._ledger = ledger
        self._served = frozenset(served_hosts)

    async def run(self, users: Sequence[str]) -> AsyncIterator[Mapping[str, Any]]:
        """Import one user (bare JID) after the other. Steps: `user`, `done`, `total` (None: not known), `new`;
        at the end `finished`, or `error`.
        """
        for user in users:
            done, new, after, complete = 0, 0, None, False
            while not complete:
                try:
                    page = await self._server.history(user, after, PAGE)
                except LookupError:
                    yield {"error": f"{user}: the server has no such user"}
                    return
                except LinkDown:
                    yield {"error": f"{user}: the server's module does not answer (rapport check says more)"}
                    return
                except IqError as error:
                    yield {"error": f"{user}: no archive ({error.args[0]}): load mod_mam on the host"}
                    return
                entries = [(ArchiveId(user, entry.id), facts_of(tapped(entry.message, entry.at), self._served)) for entry in page.entries]
                new += await self._ledger.import_batch(user, entries)
                done += len(entries)
                complete = page.complete or page.last is None or page.last == after
                after = page.last
                yield {"user": user, "done": done, "total": page.count, "new": new}
            log.info("archive.imported user=%s entries=%d new=%d", user, done, new)
        yield {"finished": True}
