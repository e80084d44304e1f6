"""What is stored leaves the queue when it is dealt with, and its answer has arrived (component/link/router.py)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest
from rig.wait import until

from component.delivery import Delivery
from component.ledger.engine import DatabaseClosed
from component.ledger.mark import Handed
from component.link.router import Router
from component.ports import Handler, Queued, StanzaError
from component.rules.addresses import Address, Own
from stanzas.namespaces import COMPONENT, LINK
from tests.fakes import FakeServer


@dataclass
class FakeQueue:
    kept: dict[int, bytes] = field(default_factory=dict)

    async def put(self, key: str, payload: bytes, at: float, handed: Handed | None = None) -> int | None:
        self.kept[len(self.kept) + 1] = payload
        return len(self.kept)

    async def remove(self, ids: Sequence[int]) -> None:
        for each in ids:
            del self.kept[each]

    async def all(self) -> Sequence[Any]:
        return [SimpleNamespace(id=number, key="", payload=payload, at=0.0) for number, payload in self.kept.items()]


class Refuses:
    """A handler that lets nobody in."""

    iqs: Mapping[tuple[str, str], Any] = {}

    async def message(self, _address: Address, _queued: Queued) -> bool:
        raise StanzaError("forbidden")

    async def other_message(self, _address: Address, _stanza: Element) -> None:
        raise AssertionError("not called")

    async def presence(self, _address: Address, _stanza: Element) -> None:
        raise AssertionError("not called")


class Breaks(Refuses):
    """A handler with a fault."""

    def __init__(self, fault: Exception) -> None:
        self._fault = fault

    async def message(self, _address: Address, _queued: Queued) -> bool:
        raise self._fault


class LinkedServer(FakeServer):
    """What the router asks of the link beside the Server port."""

    served_hosts = frozenset({"example.org"})
    modules: Mapping[str, Any] = {}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.answers: list[str] = []

    def answered(self, iq: Element) -> None:
        self.answers.append(iq.get("id", ""))


class World:
    def __init__(self, up: bool, handler: Handler | None = None) -> None:
        self.server, self.queue = LinkedServer(up=up), FakeQueue()
        self.delivery = Delivery(self.server)
        self.router = Router(
            "rapport.example.org",
            self.server,  # type: ignore[arg-type]  # as much of a Link as is needed
            self.queue,  # type: ignore[arg-type]  # of a Queue, likewise
            self.delivery,
            lambda local: Own(),
            {Own: handler or Refuses()},
            lambda: 0.0,
        )

    def errors(self) -> list[str]:
        return [stanza.get("to", "") for stanza, _ in self.server.stanzas if stanza.get("type") == "error"]


def words() -> Element:
    return fromstring(
        "<message xmlns='jabber:component:accept' from='bob@example.org/phone' to='rapport.example.org' type='chat' id='m1'>"
        "<body>words</body></message>"
    )


async def test_a_refused_message_leaves_the_queue_when_the_refusal_has_arrived() -> None:
    world = World(up=True)
    world.router.take(words())
    await until(lambda: world.errors() == ["bob@example.org/phone"])
    await until(lambda: not world.queue.kept)


async def test_a_refusal_waits_for_the_stream_and_the_message_with_it() -> None:
    world = World(up=False)
    world.router.take(words())
    await until(lambda: world.queue.kept)
    world.server.up = True
    world.delivery.on_link()
    await until(lambda: world.errors() == ["bob@example.org/phone"])
    await until(lambda: not world.queue.kept)


@pytest.mark.parametrize("restarts", [1, 3])
async def test_what_was_not_refused_before_rapport_ended_is_refused_after_its_next_start(restarts: int) -> None:
    world = World(up=False)
    world.router.take(words())
    await until(lambda: world.queue.kept)
    for _ in range(restarts):
        world.delivery.stop()
        await world.router.drain()
        assert world.queue.kept and not world.errors()
        kept, world = world.queue, World(up=False)
        world.queue.kept.update(kept.kept)
        await world.router.resume()
    world.server.up = True
    world.delivery.on_link()
    await until(lambda: world.errors() == ["bob@example.org/phone"])
    await until(lambda: not world.queue.kept)


async def test_a_message_that_meets_a_fault_of_ours_is_answered_and_not_tried_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    world = World(up=True, handler=Breaks(ZeroDivisionError()))
    world.router.take(words())
    await until(lambda: world.errors() == ["bob@example.org/phone"])
    await until(lambda: not world.queue.kept)
    assert "internal-server-error" in "".join(child.tag for error in world.server.stanzas[0][0] for child in error)
    assert "router.fault sender=bob@example.org/phone" in caplog.text


async def test_while_rapport_ends_nothing_new_is_taken_and_who_asks_is_told() -> None:
    world = World(up=True)
    world.router.stop()
    world.router.take(words())
    counted = words()
    counted.append(fromstring(f"<handed xmlns='{LINK}' n='1'/>"))
    world.router.take(counted)
    world.router.take(fromstring(f"<message xmlns='{COMPONENT}' from='example.org'><tap xmlns='{LINK}' n='2'/></message>"))
    for kind, identity in (("get", "i1"), ("result", "i2")):
        world.router.take(
            fromstring(f"<iq xmlns='{COMPONENT}' from='bob@example.org/phone' to='rapport.example.org' type='{kind}' id='{identity}'/>")
        )
    await world.router.drain()
    assert world.router.forgeries.count == 1, "without a module, the mark of a module is a forgery"
    assert [stanza.get("id") for stanza, _ in world.server.stanzas] == ["m1", "i1"]
    assert world.errors() == ["bob@example.org/phone"] * 2
    assert not world.queue.kept
    assert world.server.answers == ["i2"]


async def test_what_the_database_is_closed_before_stays_for_the_next_start() -> None:
    world = World(up=True, handler=Breaks(DatabaseClosed()))
    world.router.take(words())
    await until(lambda: world.queue.kept)
    await world.router.drain()
    assert world.queue.kept and not world.errors()
