"""Messages to faces when things go wrong: the stream breaks, the link is away, a message can't be delivered (spec/30-levels.md)."""

import asyncio
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest
from rig.wait import until

from component.delivery import Delivery, Stopping
from component.ledger.engine import Database
from component.ledger.facts import Ledger
from component.levels.face import Faces
from component.levels.service import Levels
from component.levels.store import RealName, Store
from component.ports import LinkDown, Queued, StanzaError
from component.rules.addresses import Face
from component.rules.doors import Door
from component.rules.levels import Scale
from tests.fakes import FakeClock, FakeServer, item

ALICE, BOB = "alice@example.org", "bob@example.org"
ALICE_FACE, BOB_FACE = "alice\\40example.org@rapport.example.org", "bob\\40example.org@rapport.example.org"


class World:
    """Bob may write to alice under their real names."""

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self.server = FakeServer(rosters={ALICE: {BOB: item(BOB)}, BOB: {ALICE: item(ALICE)}})
        self.store = Store(database)
        self.levels = Levels("rapport.example.org", self.server, ledger, self.store, FakeClock(), Scale(), ["example.org"])
        self.delivery = Delivery(self.server, link_within=0.2)
        self.faces = Faces("rapport.example.org", self.server, self.levels, self.delivery)

    async def prepare(self) -> None:
        for user, name in ((ALICE, "Alice Liddell"), (BOB, "Bob the Builder")):
            await self.store.set_real_name(user, "example.org", True, RealName(name))
        await self.store.open(ALICE, Door.REAL_NAME, frozenset({5}), share_names=False)

    def sent(self) -> list[str]:
        """(type, from, to, text) of what was sent, in order."""
        return [
            f"{stanza.get('type')} {stanza.get('from')} {stanza.get('to')} {stanza.findtext('{jabber:component:accept}body')}"
            for stanza, _once in self.server.stanzas
            if stanza.get("type") != "headline"
        ]


@pytest.fixture
async def world(sqlite_url: str) -> Any:
    database = await Database.open(sqlite_url)
    made = World(database, await Ledger.open(database))
    await made.prepare()
    yield made
    await database.close()


def stanza(inner: str = "<body>hello</body>", kind: str = "chat", sender: str = BOB, to: str = ALICE_FACE) -> Element:
    attributes = f"from='{sender}/phone' to='{to}' type='{kind}' id='m1'"
    return fromstring(f"<message xmlns='jabber:component:accept' {attributes}>{inner}</message>")


def queued(message: Element | None = None) -> Queued:
    return Queued(7, stanza() if message is None else message, 0.0)


DELIVERED = f"chat {BOB_FACE} {ALICE} hello"


async def test_a_message_is_dealt_with_when_the_server_has_it(world: World) -> None:
    assert await world.faces.message(Face(ALICE), queued())
    assert world.sent() == [DELIVERED]


async def test_each_copy_of_a_message_carries_the_same_id_for_the_server_to_know_it_by(world: World) -> None:
    await world.faces.message(Face(ALICE), queued())
    await world.faces.message(Face(ALICE), queued())
    ids = [once for sent, once in world.server.stanzas if sent.get("type") == "chat"]
    assert ids == [queued().once("message")] * 2


async def test_a_message_with_which_the_stream_breaks_is_sent_again_when_it_is_back(world: World) -> None:
    class Breaks(FakeServer):
        unconfirmed = 1

        async def confirmed(self) -> bool:
            self.unconfirmed -= 1
            return self.unconfirmed < 0

    world.server = Breaks(rosters=world.server.rosters)
    delivery = Delivery(world.server)
    faces = Faces("rapport.example.org", world.server, world.levels, delivery)
    passing = asyncio.create_task(faces.message(Face(ALICE), queued()))
    await until(lambda: world.sent() == [DELIVERED])
    delivery.on_link()
    assert await passing
    assert world.sent() == [DELIVERED, DELIVERED]


async def test_a_message_waits_for_the_link(world: World) -> None:
    world.server.up = False
    passing = asyncio.create_task(world.faces.message(Face(ALICE), queued()))
    await asyncio.wait({passing}, timeout=0.5)
    assert not passing.done(), "the stream is down: nobody could be told"
    world.server.up = True
    world.delivery.on_link()
    assert await passing
    assert world.sent() == [DELIVERED]


async def test_a_message_is_returned_if_the_server_is_there_and_the_link_does_not_come(world: World) -> None:
    class WithoutModule(FakeServer):
        def linked(self, host: str) -> bool:
            return False

    server = WithoutModule()
    levels = Levels("rapport.example.org", server, None, world.store, FakeClock(), Scale(), ["example.org"])  # type: ignore[arg-type]  # asked for nothing
    with pytest.raises(LinkDown):
        await Faces("rapport.example.org", server, levels, Delivery(server, link_within=0.05)).message(Face(ALICE), queued())


async def test_what_waits_when_rapport_ends_stays_in_the_queue(world: World) -> None:
    world.server.up = False
    passing = asyncio.create_task(world.faces.message(Face(ALICE), queued()))
    await asyncio.wait({passing}, timeout=0.05)
    world.delivery.stop()
    with pytest.raises(Stopping):
        await passing


async def test_a_message_too_large_for_the_server_is_returned(world: World) -> None:
    class Small(FakeServer):
        def send(self, stanza: Element, once: str | None = None) -> bool:
            return False

    small = Small()
    faces = Faces("rapport.example.org", small, world.levels, Delivery(small))
    with pytest.raises(StanzaError, match="resource-constraint"):
        await faces.message(Face(ALICE), queued())


async def test_what_could_not_be_delivered_is_told_to_who_wrote_it_without_the_text(world: World) -> None:
    await world.faces.message(Face(ALICE), queued())
    error = stanza("<body>hello</body><error type='cancel'/>", "error", ALICE, BOB_FACE)
    await world.faces.other_message(Face(BOB), error)
    assert world.sent()[1:] == [f"error {ALICE_FACE} {BOB} None"]


async def test_an_error_of_somebody_who_was_not_written_to_goes_nowhere(world: World) -> None:
    await world.faces.other_message(Face(BOB), stanza("<error type='cancel'/>", "error", ALICE, BOB_FACE))
    await world.faces.other_message(Face(BOB), stanza("<body>news</body>", "headline", ALICE, BOB_FACE))
    assert world.server.stanzas == []


async def test_what_only_a_server_may_say_does_not_pass(world: World) -> None:
    payload = (
        "<body>hello</body><nick xmlns='http://jabber.org/protocol/nick'>The King</nick>"
        "<event xmlns='http://jabber.org/protocol/pubsub#event'/><x xmlns='http://jabber.org/protocol/rosterx'/>"
        "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='alice@example.org'/><origin-id xmlns='urn:xmpp:sid:0' id='m1'/>"
        "<received xmlns='urn:xmpp:carbons:2'/><active xmlns='http://jabber.org/protocol/chatstates'/>"
    )
    await world.faces.message(Face(ALICE), queued(stanza(payload)))
    delivered = world.server.stanzas[-1][0]
    assert [child.tag.rpartition("}")[2] for child in delivered] == ["body", "origin-id", "active", "nick"]
    assert delivered[-1].text == "Bob the Builder"


async def test_a_lone_chat_state_of_one_without_a_real_name_asks_nobody_for_one(world: World) -> None:
    await world.store.set_real_name(BOB, "example.org", True, None)
    state = stanza("<composing xmlns='http://jabber.org/protocol/chatstates'/>")
    assert await world.faces.message(Face(ALICE), queued(state))
    assert world.sent() == [f"chat {BOB_FACE} {ALICE} None"]


async def test_the_first_message_tells_gajim_whom_it_is_from(world: World) -> None:
    await world.faces.message(Face(ALICE), queued())
    await world.faces.message(Face(ALICE), queued())
    events = [sent for sent, _once in world.server.stanzas if sent.get("type") == "headline"]
    assert ["".join(event.itertext()) for event in events] == ["Bob the Builder"]


async def test_words_to_ones_own_face_are_answered_with_what_it_is_for(world: World) -> None:
    await world.faces.message(Face(ALICE), queued(stanza(sender=ALICE)))
    (sent,) = world.sent()
    assert sent.startswith(f"chat {ALICE_FACE} {ALICE}/phone This is your own public face.")
