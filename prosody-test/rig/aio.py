"""A client on aioxmpp: an independent, strict implementation (its own parser, SCRAM, schema)."""

import asyncio
import contextlib
import socket
from typing import Any

import aioxmpp
import aioxmpp.adhoc
import aioxmpp.connector
import aioxmpp.dispatcher
import aioxmpp.forms

from rig.server import PASSWORD, Server
from rig.wait import until


class _Connector(aioxmpp.connector.STARTTLSConnector):  # type: ignore[misc]  # aioxmpp has no types
    """aioopenssl leaves Nagle's algorithm on: without this each stanza may lag 40 ms on loopback."""

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        connected = await super().connect(*args, **kwargs)
        connected[0].get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected


class AioClient:
    """A session of a user; `async with AioClient(server, "alice@localhost/aio") as alice`: logged in and available."""

    def __init__(self, server: Server, jid: str, password: str = PASSWORD) -> None:
        # Without TLS aioxmpp speaks SCRAM only.
        security = aioxmpp.make_security_layer(password, no_verify=True)._replace(tls_required=False)
        self.client = aioxmpp.PresenceManagedClient(
            aioxmpp.JID.fromstr(jid), security, override_peer=[("127.0.0.1", server.c2s_port, _Connector())]
        )
        self.roster = self.client.summon(aioxmpp.RosterClient)
        self.adhoc = self.client.summon(aioxmpp.adhoc.AdHocClient)
        self.log: list[tuple[str, str]] = []
        """(full JID, show) of each change of presence that it saw, 'offline' for unavailable."""
        self.messages: list[tuple[str, str]] = []
        """(bare JID of the sender, body) of each chat message."""
        presences = self.client.summon(aioxmpp.PresenceClient)
        for change in (presences.on_available, presences.on_changed, presences.on_unavailable):
            change.connect(self._presence)
        dispatcher = self.client.summon(aioxmpp.dispatcher.SimpleMessageDispatcher)
        dispatcher.register_callback(aioxmpp.MessageType.CHAT, None, self._message)
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "AioClient":
        self.client.presence = aioxmpp.PresenceState(True)
        await self._stack.enter_async_context(self.client.connected())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _presence(self, jid: Any, stanza: Any) -> None:
        gone = stanza.type_ is aioxmpp.PresenceType.UNAVAILABLE
        self.log.append((str(stanza.from_), "offline" if gone else stanza.show.value or "online"))

    def _message(self, stanza: Any) -> None:
        if stanza.body:
            self.messages.append((str(stanza.from_.bare()), stanza.body.any()))

    @property
    def shows(self) -> dict[str, str]:
        """Full JID -> show of who is available, as it saw it last."""
        return {jid: show for jid, show in dict(self.log).items() if show != "offline"}

    async def sees(self, jid: str, show: str, within: float = 5.0) -> None:
        """Wait until the full JID shows that ('offline': is not available)."""
        await until(lambda: self.shows.get(jid, "offline") == show, within, f"aioxmpp sees {jid} as {show}: {self.log}")

    async def message(self, to: str, body: str) -> None:
        stanza = aioxmpp.Message(type_=aioxmpp.MessageType.CHAT, to=aioxmpp.JID.fromstr(to))
        stanza.body[None] = body
        await self.client.send(stanza)

    async def hears(self, sender: str, body: str, within: float = 5.0) -> None:
        """Wait for a chat message with that body from a bare JID."""
        await until(lambda: (sender, body) in self.messages, within, f"{body!r} from {sender}; so far {self.messages}")

    async def commands(self, of: str) -> dict[str, str]:
        """The commands that an entity lists: node -> name."""
        items = await asyncio.wait_for(self.adhoc.get_commands(aioxmpp.JID.fromstr(of)), 5)
        return {item.node: item.name for item in items}

    async def execute(self, of: str, node: str) -> Any:
        """Start a command; its aioxmpp.adhoc.ClientSession."""
        return await asyncio.wait_for(self.adhoc.execute(aioxmpp.JID.fromstr(of), node), 5)

    async def submit(self, session: Any, **values: str) -> Any:
        """Complete a command with these fields of its form; the response's first payload, or None."""
        form = aioxmpp.forms.Data(type_=aioxmpp.forms.DataType.SUBMIT)
        for field in session.first_payload.fields:
            if field.type_ is aioxmpp.forms.FieldType.HIDDEN:
                form.fields.append(field)
        for var, value in values.items():
            form.fields.append(aioxmpp.forms.Field(var=var, type_=None, values=[value]))
        complete = aioxmpp.adhoc.xso.ActionType.COMPLETE
        await asyncio.wait_for(session.proceed(action=complete, payload=form), 5)
        return session.first_payload
