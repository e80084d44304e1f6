"""What must arrive, and once, when the stream breaks (component/delivery.py)."""

import asyncio
from xml.etree.ElementTree import Element

import pytest
from rig.wait import until

from component.delivery import Delivery, Stopping
from component.ports import StanzaError
from stanzas.build import message
from tests.fakes import FakeServer


def words() -> Element:
    return message("rapport.example.org", "alice@example.org", "words")


class Breaks(FakeServer):
    """Its stream breaks before the first confirmation."""

    unconfirmed = 1

    async def confirmed(self) -> bool:
        self.unconfirmed -= 1
        return self.up and self.unconfirmed < 0


async def test_what_the_stream_broke_with_is_sent_again_under_the_same_id() -> None:
    server = Breaks()
    delivery = Delivery(server)
    delivering = asyncio.create_task(delivery.deliver(words(), "7:answer"))
    await until(lambda: server.stanzas)
    delivery.on_link()
    await delivering
    assert [once for _, once in server.stanzas] == ["7:answer", "7:answer"]


async def test_while_the_stream_is_down_it_waits() -> None:
    server = FakeServer(up=False)
    delivery = Delivery(server)
    delivering = asyncio.create_task(delivery.deliver(words(), "7:answer"))
    await asyncio.wait({delivering}, timeout=0.05)
    assert not delivering.done()
    server.up = True
    delivery.on_link()
    await delivering
    assert len(server.stanzas) == 1


async def test_without_a_link_it_is_sent_when_the_server_is_back() -> None:
    server = FakeServer(up=False)
    delivering = asyncio.create_task(Delivery(server, link_within=0.05).deliver(words(), "7:answer"))
    await asyncio.wait({delivering}, timeout=0.02)
    server.up = True
    await asyncio.wait_for(delivering, 5)
    assert len(server.stanzas) == 1


async def test_when_rapport_ends_nothing_waits_any_more() -> None:
    server = FakeServer(up=False)
    delivery = Delivery(server)
    before = asyncio.create_task(delivery.deliver(words(), "7:answer"))
    await asyncio.wait({before}, timeout=0.02)
    delivery.stop()
    for waiting in (before, delivery.deliver(words(), "8:answer")):
        with pytest.raises(Stopping):
            await waiting


async def test_what_is_too_large_for_the_server_is_an_error() -> None:
    class Small(FakeServer):
        def send(self, stanza: Element, once: str | None = None) -> bool:
            return False

    with pytest.raises(StanzaError, match="resource-constraint"):
        await Delivery(Small()).deliver(words(), "7:answer")
