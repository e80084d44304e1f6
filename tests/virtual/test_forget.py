"""What S3 holds in memory of somebody ends with what is kept of them."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from component.ledger.engine import Database
from component.ledger.erase import Records
from component.virtual.model import Profile
from component.virtual.store import PARTS
from tests.virtual.fakes import DOMAIN, SHOP, Shop, conversation, table

ANN, BEN = "ann@example.org", "ben@example.org"
CAT, DAN = "cat@x.org", "dan@x.org"
DESK = f"desk@{DOMAIN}"


@pytest.fixture
async def database(sqlite_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(sqlite_url)
    yield opened
    await opened.close()


async def forget(shop: Shop, user: str) -> None:
    """As an admin's `erase` does."""
    shop.virtual.forget(user)
    await shop.virtual.flushed()
    await Records(shop.database, lambda: None, PARTS).erase(user)
    await shop.settle()


async def test_what_waits_of_a_customer_who_is_forgotten_is_delivered_to_nobody(database: Database) -> None:
    shop = await Shop.opened(database)
    await shop.customer(CAT, "a secret")
    await shop.customer(DAN, "a question")
    assert await shop.queued() == 2
    await forget(shop, CAT)
    assert await shop.queued() == 1
    await shop.comes(ANN)
    assert shop.got(ANN) == ["a question"]


async def test_a_customer_who_is_forgotten_is_a_new_one_to_the_team(database: Database) -> None:
    shop = await Shop.opened(database, table(policy=("latest", "round-robin")), there=(ANN, BEN))
    await shop.customer(CAT, "one")
    assert shop.got(ANN) == ["one"]
    await forget(shop, CAT)
    await shop.customer(CAT, "two", stanza_id="m2")
    assert (shop.got(ANN), shop.got(BEN)) == (["one"], ["two"])


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_sub_user_who_is_forgotten_has_no_conversation_any_more(database: Database, restarted: bool) -> None:
    shop = await Shop.opened(database, there=(ANN,))
    await shop.customer(CAT, "one")
    await shop.comes(BEN)
    await forget(shop, ANN)
    await shop.goes(ANN)
    if restarted:
        await shop.crash()
    await shop.customer(CAT, "two", stanza_id="m2")
    assert (shop.got(ANN), shop.got(BEN, conversation(CAT))) == (["one"], ["two"])
    team = shop.virtual.teams["shop"]
    assert set(team.subs) == {ANN, BEN}, "the configuration names them"


async def test_who_is_forgotten_sees_the_virtual_users_presence_no_more(database: Database) -> None:
    shop = await Shop.opened(database, there=(ANN,))
    await shop.presence(DAN, SHOP, "subscribe")
    await forget(shop, DAN)
    before = len(shop.server.stanzas)
    await shop.goes(ANN)
    assert [stanza for stanza, _once in shop.server.stanzas[before:] if stanza.get("to", "").startswith(DAN)] == []


async def test_who_was_forgotten_is_not_named_by_a_conversation_that_goes_on(database: Database) -> None:
    shop = await Shop.opened(database, table(members=(BEN,)), there=(ANN,))
    team = shop.virtual.teams["shop"]
    await shop.virtual.save_user(replace(team.settings, node="desk"))
    await shop.virtual.save_members(shop.virtual.teams["desk"], [Profile(ANN)])
    await shop.says(f"{CAT}/web", DESK, "one")
    assert shop.got(ANN) == ["one"]
    await forget(shop, ANN)
    await shop.goes(ANN)
    await shop.says(f"{CAT}/web", DESK, "two", stanza_id="m2")
    await shop.virtual.flushed()
    assert await Records(shop.database, lambda: None, PARTS).export(ANN) == {}
