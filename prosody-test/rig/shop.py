"""A virtual user with sub-users and customers, as S3's stories use it."""

from collections.abc import Awaitable, Callable
from typing import Any

from rig import xml
from rig.rapport import Rapport
from rig.raw import RawClient
from rig.server import COMPONENT, Server
from rig.wait import eventually, until
from rig.xml import Element

SHOP = f"shop@{COMPONENT}"


def conversation(customer: str, node: str = "shop") -> str:
    """The conversation address of a plain bare JID (one whose local part needs no escaping)."""
    return rf"{customer.replace('@', chr(92) + '40')}%{node}@{COMPONENT}"


class Shop:
    """People at `localhost`; the newest session of a person is `shop["ann"]`."""

    def __init__(self, server: Server, rapport: Rapport, client: Callable[..., Awaitable[RawClient]]) -> None:
        self.server = server
        self.rapport = rapport
        self._client = client
        self._sessions: dict[str, RawClient] = {}

    def __getitem__(self, name: str) -> RawClient:
        return self._sessions[name]

    @property
    def names(self) -> set[str]:
        """Who has logged in."""
        return set(self._sessions)

    async def enter(self, *jids: str, show: str | None = None, **login: Any) -> RawClient:
        """Log these in (`ann/phone`: ann@localhost) and make them available, one after the other; the last one's session."""
        for jid in jids:
            name, _, resource = jid.partition("/")
            session = await self._client(self.server, f"{name}@{self.server.domain}/{resource or 'phone'}", show=show, **login)
            self._sessions[name] = session
            await session.settled()
        return session

    async def leave(self, name: str) -> None:
        """Log out as clients do: what was sent before the server and Rapport saw that has come."""
        await self[name].presence(type="unavailable")
        await self[name].settled()
        await self[name].close()

    async def says(self, customer: str, body: str, extra: str = "", **attributes: str | None) -> str:
        """A customer writes to the shop; the message's id."""
        return await self[customer].message(SHOP, body, extra, **attributes)

    async def answers(self, member: str, customer: str, body: str | None, extra: str = "", **attributes: str | None) -> str:
        """A sub-user writes to the conversation address of a customer (a name: at localhost)."""
        return await self[member].message(self.of(customer), body, extra, **attributes)

    def of(self, customer: str) -> str:
        return conversation(customer if "@" in customer else f"{customer}@localhost")

    def got(self, member: str, customer: str, since: int = 0) -> list[str]:
        """What a sub-user got of a customer's conversation."""
        return self[member].bodies(self.of(customer), since)

    async def gets(self, member: str, customer: str, *bodies: str, within: float = 5.0) -> None:
        """Wait until these are the last that a sub-user got of a customer's conversation, in order, each once."""
        wanted = list(bodies)
        await self[member].until(
            lambda: self.got(member, customer)[-len(wanted) :] == wanted or None, within, f"{member} gets {wanted} of {customer}"
        )

    async def hears(self, customer: str, *bodies: str, within: float = 5.0) -> None:
        """Wait until these are the last that a customer got of the shop."""
        wanted = list(bodies)
        await self[customer].until(
            lambda: self[customer].bodies(SHOP)[-len(wanted) :] == wanted or None, within, f"{customer} gets {wanted}"
        )

    async def until(self, condition: Callable[[], object], what: str, within: float = 5.0) -> None:
        """Wait for something that several sessions see."""
        await until(condition, within, what)

    async def eventually(self, condition: Callable[[], Awaitable[bool]], what: str, within: float = 10.0) -> None:
        """Ask until it is so."""
        await eventually(condition, within, what)

    async def settled(self, *names: str) -> None:
        """A round trip of each, in this order."""
        for name in names:
            await self[name].settled()


def message_of(client: RawClient, body: str) -> Element:
    """The newest message with this body that a client got."""
    return next(each for each in reversed(client.received) if xml.name(each) == "message" and xml.body(each) == body)
