"""Messages that must arrive, and once: sent again after each loss of the stream, until the server has taken them."""

import asyncio
from copy import copy
from xml.etree.ElementTree import Element

from component.ports import Server, StanzaError

LINK_WITHIN = 30.0
"""Seconds that a message waits for the link when the server is there without it; no longer than the server itself would keep it."""


class Stopping(Exception):
    """Rapport ends: what waits stays in the queue, and goes on after the next start."""


class Delivery:
    """`link_within`: seconds."""

    def __init__(self, server: Server, link_within: float = LINK_WITHIN) -> None:
        self._server = server
        self._link_within = link_within
        self._next_link = asyncio.Event()
        self._stopping = False

    def on_link(self) -> None:
        """The link of a served host is up, or will not be on this stream."""
        self._next_link.set()
        self._next_link = asyncio.Event()

    def stop(self) -> None:
        """Let nothing wait for a link any more."""
        self._stopping = True
        self._next_link.set()

    async def deliver(self, stanza: Element, once: str) -> None:
        """Returns when the server has the stanza; `once` is the id by which it knows a second one (docs/link.md, 2).

        Raises StanzaError (the stanza is too large for the server) or Stopping.
        """
        while True:
            link = self._next_link
            sent = self._server.send(copy(stanza), once)  # what is sent gets an element more
            if await self._server.confirmed():
                break
            await self._comes(link)
        if not sent:
            raise StanzaError("resource-constraint", "the message is too large")

    async def link_comes(self) -> bool:
        """Wait until a link comes up; False: the server is there, but not in time with a link. Raises Stopping."""
        return await self._comes(self._next_link) or not await self._server.confirmed()

    async def _comes(self, link: asyncio.Event) -> bool:
        if not self._stopping:
            try:
                await asyncio.wait_for(link.wait(), self._link_within)
            except TimeoutError:
                return False
        if self._stopping:
            raise Stopping
        return True
