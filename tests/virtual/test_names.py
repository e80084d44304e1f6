"""The virtual users' names in customers' clients: who is told, and how often."""

from collections.abc import AsyncIterator
from xml.etree.ElementTree import Element

import pytest

from component.ledger.engine import Database
from component.rules.presence import Own, Show
from stanzas.build import element
from stanzas.namespaces import DISCO_INFO, NICK, qualified
from tests.virtual.fakes import SHOP, Shop

GAJIM, CONVERSE = "cat@x.org/gajim", "cat@x.org/converse"


@pytest.fixture
async def shop(sqlite_url: str) -> AsyncIterator[Shop]:
    database = await Database.open(sqlite_url)
    yield await Shop.opened(database)
    await database.close()


def answers_disco(shop: Shop, client: str, *features: str) -> None:
    info = element(DISCO_INFO, "query")
    info.extend(element(DISCO_INFO, "feature", {"var": feature}) for feature in features)
    shop.server.answers[client, qualified(DISCO_INFO, "query")] = info


def names(shop: Shop, client: str) -> list[str | None]:
    """The names in the nick events that a client got of the shop."""

    def name(stanza: Element) -> str | None:
        assert (stanza.get("from"), stanza.get("type")) == (SHOP, "headline")
        return stanza.findtext(f".//{qualified(NICK, 'nick')}")

    return [name(stanza) for stanza in shop.messages(client) if stanza.get("type") == "headline"]


async def test_a_client_that_asks_for_names_is_told_once(shop: Shop) -> None:
    answers_disco(shop, GAJIM, f"{NICK}+notify")
    for number in range(3):
        await shop.customer(GAJIM, f"{number}")
    assert names(shop, GAJIM) == ["The Bookshop"]


async def test_a_client_that_does_not_ask_for_names_is_told_none(shop: Shop) -> None:
    answers_disco(shop, CONVERSE, "urn:xmpp:receipts", NICK)
    for client in (CONVERSE, "dan@x.org/silent"):
        await shop.customer(client, "hello")
    assert names(shop, CONVERSE) == names(shop, "dan@x.org/silent") == []


async def test_a_client_that_could_not_be_asked_is_asked_again(shop: Shop) -> None:
    answers_disco(shop, GAJIM, f"{NICK}+notify")
    shop.server.reached = False
    await shop.customer(GAJIM, "hello")
    assert names(shop, GAJIM) == []
    shop.server.reached = True
    await shop.customer(GAJIM, "hello?")
    assert names(shop, GAJIM) == ["The Bookshop"]


async def test_another_name_is_told_to_whom_the_one_before_was(shop: Shop) -> None:
    answers_disco(shop, GAJIM, f"{NICK}+notify")
    answers_disco(shop, CONVERSE)
    await shop.customer(GAJIM, "hello")
    await shop.customer(CONVERSE, "hello")
    await shop.rename("The Library")
    await shop.rename("The Library")
    assert names(shop, GAJIM) == ["The Bookshop", "The Library"]
    assert names(shop, CONVERSE) == []


async def test_a_subscriber_is_told_before_any_message(shop: Shop) -> None:
    here = "eve@example.org/gajim"
    for client in (GAJIM, here):
        answers_disco(shop, client, f"{NICK}+notify")
    shop.server.log_in(here, Own(Show.ONLINE))
    await shop.presence("eve@example.org", SHOP, "subscribe")
    await shop.presence("cat@x.org", SHOP, "subscribe")
    assert (names(shop, here), names(shop, GAJIM)) == (["The Bookshop"], [])
    await shop.presence(GAJIM, SHOP, "probe")
    assert names(shop, GAJIM) == ["The Bookshop"]


async def test_a_stranger_who_only_probes_is_told_nothing(shop: Shop) -> None:
    answers_disco(shop, GAJIM, f"{NICK}+notify")
    await shop.presence(GAJIM, SHOP, "probe")
    assert names(shop, GAJIM) == []
