"""A shop with its sub-users and customers, in memory: the real service on a real database, a server that the test drives."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from xml.etree.ElementTree import Element, fromstring, tostring

from component.delivery import Delivery
from component.ledger.engine import Database
from component.ledger.queue import Queue
from component.own import version_query
from component.ports import IqError, Queued, StanzaError
from component.rules import addresses
from component.rules.presence import Own, Show
from component.virtual.service import Virtual
from component.virtual.store import Store
from config import settings
from stanzas.build import element, error_reply
from stanzas.jid import bare, split
from stanzas.namespaces import COMPONENT, qualified
from tests.fakes import FakeClock, FakeServer

DOMAIN = "rapport.example.org"
SHOP = f"shop@{DOMAIN}"
LOCAL = "example.org"
BODY = qualified(COMPONENT, "body")


def table(**keys: object) -> settings.Virtual:
    """A `[[virtual]]` table, by default a shop with ann and ben."""
    given = {"node": "shop", "name": "The Bookshop", "members": ("ann@example.org", "ben@example.org"), **keys}
    return settings.Virtual.model_validate(given)


@dataclass
class Server(FakeServer):
    """Takes what is sent, confirms it unless told otherwise, and drops what it saw under the same `once`, as mod_rapport does."""

    answers: dict[tuple[str, str], Element] = field(default_factory=dict)
    """(JID, tag of the payload) → the result of an IQ; everything else is answered `service-unavailable`."""
    reached: bool = True
    """Whether IQs are answered in time."""
    silent: set[str] = field(default_factory=set)
    """JIDs for which no answer ever comes."""
    hosts: frozenset[str] = frozenset({LOCAL})
    """Hosts with the module."""
    largest: int = 500_000
    """Bytes of a stanza that it takes."""
    on_send: Callable[[Element], None] | None = None
    seen: set[str] = field(default_factory=set)

    def linked(self, host: str) -> bool:
        return self.up and host in self.hosts

    def fits(self, stanza: Element) -> bool:
        return len(tostring(stanza)) <= self.largest

    def send(self, stanza: Element, once: str | None = None) -> bool:
        if not self.up or not self.fits(stanza):
            return False
        if once is not None:
            assert 0 < len(once) <= 64
            if once in self.seen:
                return True
            self.seen.add(once)
        assert fromstring(tostring(stanza)).tag == stanza.tag
        self.stanzas.append((stanza, once))
        if self.on_send is not None:
            self.on_send(stanza)
        return True

    async def ask(self, iq: Element) -> Element:
        await (asyncio.Event().wait() if iq.get("to") in self.silent else asyncio.sleep(0))
        if not self.reached:
            raise TimeoutError
        answer = self.answers.get((iq.get("to", ""), iq[0].tag))
        if answer is None:
            raise IqError("service-unavailable")
        return answer


class Shop:
    """What the tests say and see."""

    def __init__(self, database: Database, *tables: settings.Virtual, clock: FakeClock | None = None, server: Server | None = None) -> None:
        self.clock = clock or FakeClock()
        self.server = server or Server()
        self.database = database
        self.queue = Queue(database)
        self.store = Store(database)
        self.delivery = Delivery(self.server)
        self.tables = tables or (table(),)
        self.taken: Sequence[str] = ()
        """Names of communities."""
        self.virtual = self._build()

    def _build(self) -> Virtual:
        return Virtual(
            DOMAIN, [LOCAL], self.server, self.queue, self.store, self.clock, self.delivery, version_query, self.tables, self.taken
        )

    @classmethod
    async def opened(cls, database: Database, *tables: settings.Virtual, there: Sequence[str] = ()) -> "Shop":
        """A shop that is open, with these sub-users online."""
        shop = cls(database, *tables)
        for jid in there:
            shop.server.log_in(f"{jid}/phone", Own(Show.ONLINE))
        await shop.open()
        return shop

    async def open(self) -> None:
        await self.virtual.open()
        for item in await self.queue.all():
            await self._deal(Queued(item.id, fromstring(item.payload), item.at))
        self.virtual.on_ready(LOCAL)
        await self.settle()

    async def crash(self) -> None:
        """The component is killed and starts again: only what is durable is left."""
        self.store = Store(self.database)
        self.virtual = self._build()
        await self.open()

    async def settle(self) -> None:
        """Until nothing is left to do."""
        for _ in range(5):
            await self.virtual.settled()

    async def run(self, seconds: float) -> None:
        """Let time pass, in steps: what an alarm starts is done before the next one rings."""
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            self.clock.run(min(0.5, end - self.clock.now()))
            await self.settle()

    async def rename(self, name: str) -> None:
        """An admin gives the virtual user another name."""
        await self.virtual.save_user(replace(self.virtual.teams["shop"].settings, name=name))
        await self.settle()

    # --- people ---

    async def comes(self, jid: str, show: Show = Show.ONLINE, priority: int = 0) -> None:
        """A session (a bare JID: on the phone) is available with this show."""
        full = jid if "/" in jid else f"{jid}/phone"
        session = self.server.log_in(full, Own(show, priority=priority))
        self.virtual.on_session(session)
        await self.settle()

    async def goes(self, jid: str) -> None:
        full = jid if "/" in jid else f"{jid}/phone"
        self.server.log_out(full)
        self.virtual.on_gone(full)
        await self.settle()

    async def says(
        self, sender: str, recipient: str, body: str | None, payload: str = "", stanza_id: str = "m1", kind: str = "chat"
    ) -> int:
        """A message passes to the component: stored, then dealt with; its number in the queue."""
        text = "" if body is None else f"<body>{body}</body>"
        xml = f"<message xmlns='{COMPONENT}' from='{sender}' to='{recipient}' id='{stanza_id}' type='{kind}'>{text}{payload}</message>"
        stanza = fromstring(xml)
        number = await self.queue.put(f"{bare(sender)} {bare(recipient)}", tostring(stanza), self.clock.now())
        assert number is not None
        await self._deal(Queued(number, stanza, self.clock.now()))
        await self.settle()
        return number

    async def _deal(self, queued: Queued) -> None:
        address = self.address(queued.stanza.get("to", ""))
        try:
            dealt = await self.virtual.message(address, queued)
        except StanzaError as error:
            self.server.send(error_reply(queued.stanza, error.condition))
            dealt = True
        if dealt:
            await self.queue.remove([queued.id])

    async def customer(self, jid: str, body: str, **more: str) -> int:
        return await self.says(jid if "/" in jid else f"{jid}/web", SHOP, body, **more)

    async def sub(self, jid: str, customer: str, body: str, **more: str) -> int:
        return await self.says(jid if "/" in jid else f"{jid}/phone", conversation(customer), body, **more)

    async def returns(self, sender: str, customer: str, stanza_id: str = "m1") -> None:
        """The sub-user's server sends a message back."""
        stanza = error_reply(
            fromstring(f"<message xmlns='{COMPONENT}' from='{conversation(customer)}' to='{sender}' id='{stanza_id}'/>"), "gone"
        )
        await self.virtual.other_message(self.address(conversation(customer)), stanza)
        await self.settle()

    async def presence(self, sender: str, recipient: str, kind: str | None, show: str = "") -> None:
        stanza = Element(qualified(COMPONENT, "presence"), {"from": sender, "to": recipient})
        if kind:
            stanza.set("type", kind)
        if show:
            stanza.append(element(COMPONENT, "show", text=show))
        await self.virtual.presence(self.address(recipient), stanza)
        await self.settle()

    def address(self, jid: str) -> addresses.Address:
        found = addresses.parse(split(jid)[0], self.virtual.is_virtual)
        assert found is not None
        return found

    # --- what was sent ---

    def got(self, jid: str, sender: str | None = None) -> list[str]:
        """The bodies of messages to a JID, in order."""
        return [
            stanza.findtext(BODY) or ""
            for stanza, _ in self.server.stanzas
            if stanza.get("to") == jid
            and stanza.find(BODY) is not None
            and stanza.get("type") != "error"
            and sender in (None, stanza.get("from"))
        ]

    def messages(self, jid: str) -> list[Element]:
        return [stanza for stanza, _ in self.server.stanzas if stanza.get("to") == jid and stanza.tag == qualified(COMPONENT, "message")]

    def presences(self, jid: str) -> list[tuple[str, str]]:
        """(sender, show or type) of presence to a JID."""
        return [
            (stanza.get("from", ""), stanza.get("type") or stanza.findtext(qualified(COMPONENT, "show")) or "online")
            for stanza, _ in self.server.stanzas
            if bare(stanza.get("to", "")) == jid and stanza.tag == qualified(COMPONENT, "presence")
        ]

    def errors(self, jid: str) -> list[str]:
        return [
            child.tag.rpartition("}")[2]
            for stanza, _ in self.server.stanzas
            if stanza.get("to") == jid and stanza.get("type") == "error"
            for error in stanza.findall(qualified(COMPONENT, "error"))
            for child in error[:1]
        ]

    async def queued(self) -> int:
        """How many messages are still in the queue."""
        return len(await self.queue.all())


def conversation(customer: str, node: str = "shop") -> str:
    return f"{addresses.conversation(customer, node)}@{DOMAIN}"
