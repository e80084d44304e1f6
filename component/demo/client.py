"""A user of the demo: an ordinary XMPP client (slixmpp) that remembers what it saw."""

import asyncio
from collections.abc import Callable
from typing import Any

from slixmpp import JID, ClientXMPP

from component.demo.server import HOST, PASSWORD

LIMIT = 10.0
"""Seconds that anything in the scene may take."""


class Client(ClientXMPP):
    def __init__(self, user: str, port: int) -> None:
        super().__init__(f"{user}@{HOST}/demo", PASSWORD)
        self.user = user
        self._port = port
        self.enable_starttls = self.enable_direct_tls = False
        self.enable_plaintext = True
        self.shows: dict[str, str] = {}
        """Bare JID → what this client's roster shows: `online`, `away`, … or `offline`."""
        self.heard: list[tuple[str, str]] = []
        """(bare JID, body) of every chat message."""
        self._news = asyncio.Event()
        self._online = asyncio.Event()
        self.register_plugin("xep_0004")
        self.register_plugin("xep_0050")
        self.add_event_handler("session_start", self._started)
        self.add_event_handler("presence", self._presence)
        self.add_event_handler("message", self._message)

    async def log_in(self) -> None:
        """Raises TimeoutError."""
        self["feature_mechanisms"].unencrypted_plain = True
        self.connect("127.0.0.1", self._port)
        async with asyncio.timeout(LIMIT):
            await self._online.wait()

    async def _started(self, _event: object) -> None:
        await self.get_roster()
        self.send_presence()
        self._online.set()

    def _presence(self, presence: Any) -> None:
        if presence["type"] in ("available", "away", "chat", "dnd", "xa", "unavailable"):
            show = presence["show"] or "online"
            self.shows[presence["from"].bare] = "offline" if presence["type"] == "unavailable" else show
            self._news.set()

    def _message(self, message: Any) -> None:
        if message["type"] in ("chat", "normal") and message["body"]:
            self.heard.append((message["from"].bare, message["body"]))
            self._news.set()

    def say(self, to: str, body: str) -> None:
        self.send_message(mto=JID(to), mbody=body, mtype="chat")

    async def sees(self, jid: str, show: str) -> None:
        """Wait until this client's roster shows that. Raises TimeoutError."""
        await self._until(lambda: self.shows.get(jid, "offline") == show)

    async def hears(self, jid: str) -> str:
        """Wait for the next message from this bare JID, and take it. Raises TimeoutError."""
        await self._until(lambda: any(sender == jid for sender, _body in self.heard))
        found = next(message for message in self.heard if message[0] == jid)
        self.heard.remove(found)
        return found[1]

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT):
            while not holds():
                self._news.clear()
                await self._news.wait()
