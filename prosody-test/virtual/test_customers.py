"""A message from a customer (spec/20-virtual.md), on a real server."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from rig import commands, xml
from rig.shop import SHOP, Shop, conversation, message_of

NICK = "http://jabber.org/protocol/nick"
Open = Callable[..., Awaitable[Shop]]
EVERYBODY = ("ann", "ben", "cid", "cat", "dan", "eve")
SIX = [f"c{number}" for number in range(6)]


async def test_a_message_goes_to_one_sub_user_and_the_answer_back(shop: Open) -> None:
    scene = await shop("ann", "ben")
    await scene.enter("ann", "ben", "cat")
    sent = await scene.says("cat", "hello")
    await scene.gets("ann", "cat", "hello")
    got = message_of(scene["ann"], "hello")
    assert (got.get("from"), got.get("to"), got.get("id"), got.get("type")) == (
        conversation("cat@localhost"),
        "ann@localhost",
        sent,
        "chat",
    )
    assert xml.text(got, "nick", NICK) == "cat"
    await scene.answers("ann", "cat", "hi")
    await scene.hears("cat", "hi")
    assert message_of(scene["cat"], "hi").get("from") == SHOP
    await scene.settled("ann", "ben")
    assert scene.got("ben", "cat") == []


async def test_a_name_that_is_no_virtual_user_is_not_found(shop: Open) -> None:
    scene = await shop("ann")
    cat = await scene.enter("cat")
    sent = await cat.message("nobody@rapport.localhost", "hello")
    answer = await cat.expect(lambda each: each.get("type") == "error" and each.get("id") == sent)
    assert xml.condition(answer) == "item-not-found"


async def test_a_message_without_id_and_type_goes_through(shop: Open) -> None:
    scene = await shop("ann")
    await scene.enter("ann", "cat")
    await scene["cat"].send(f"<message to='{SHOP}'><body>ok</body></message>")
    await scene.gets("ann", "cat", "ok")


async def test_without_anybody_messages_wait_and_the_customer_is_told_once(shop: Open) -> None:
    scene = await shop("ann", "ben")
    cat = await scene.enter("cat")
    for number in range(3):
        await scene.says("cat", f"{number}")
    await cat.until(lambda: cat.bodies(SHOP), what="cat is told")
    await scene.enter("ann")
    await scene.gets("ann", "cat", "0", "1", "2")
    await scene.settled("cat")
    assert len(cat.bodies(SHOP)) == 1


async def test_with_bounce_the_message_is_returned(shop: Open) -> None:
    scene = await shop("ann", when_offline="bounce")
    cat = await scene.enter("cat")
    sent = await scene.says("cat", "hello")
    answer = await cat.expect(lambda each: each.get("type") == "error" and each.get("id") == sent)
    assert xml.condition(answer) == "recipient-unavailable"
    assert answer.get("from") == SHOP


async def test_the_same_customer_comes_back_to_the_same_sub_user_until_the_memory_is_old(shop: Open) -> None:
    scene = await shop("ann", "ben", policy=["round-robin"], history_expiry="2s")
    await scene.enter("ann", "ben", "cat", "dan")
    await scene.says("cat", "one")
    await scene.gets("ann", "cat", "one")
    await scene.says("cat", "two")
    await scene.gets("ann", "cat", "one", "two")
    admin = await scene.enter("admin")

    async def is_over() -> bool:
        return not (await commands.run(admin, "conversations", {"virtual": "shop"})).rows

    await scene.eventually(is_over, "the conversation is over")
    await scene.says("cat", "three")
    await scene.gets("ben", "cat", "three")


async def test_a_reconnect_moves_nobody(shop: Open) -> None:
    scene = await shop("ann", "ben", absence_grace="5s")
    await scene.enter("ann", "ben", "cat")
    await scene.says("cat", "one")
    await scene.gets("ann", "cat", "one")
    await scene.leave("ann")
    await scene.settled("ben")
    await scene.says("cat", "two")
    await scene.settled("cat")
    await scene.enter("ann")
    await scene.gets("ann", "cat", "two")
    assert scene.got("ben", "cat") == []


async def test_after_the_grace_the_next_gets_what_waits(shop: Open) -> None:
    scene = await shop("ann", "ben", absence_grace="1s")
    await scene.enter("ann", "ben", "cat")
    await scene.says("cat", "one")
    await scene.gets("ann", "cat", "one")
    await scene.leave("ann")
    await scene.settled("ben")
    await scene.says("cat", "two")
    await scene.gets("ben", "cat", "two")
    assert "one" in scene.got("ben", "cat")[0]


async def test_least_load_respects_capacity(shop: Open) -> None:
    members = [{"jid": "ann@localhost", "capacity": 4}, {"jid": "ben@localhost", "capacity": 1}]
    scene = await shop(member=members, policy=["least-load"], also=SIX)
    await scene.enter("ann", "ben", *SIX)
    for name in SIX[:5]:
        await scene.says(name, name)
        await scene.settled(name)
    await scene.until(lambda: sum(bool(scene.got("ann", name)) for name in SIX) == 4, "ann has four")
    assert [name for name in SIX if scene.got("ben", name)] == ["c1"]
    await scene.says("c5", "c5")
    await scene["c5"].until(lambda: scene["c5"].bodies(SHOP), what="c5 is told to wait")
    await scene.answers("ben", "c1", "/close")
    await scene.gets("ben", "c5", "c5")


async def test_round_robin_is_fair_also_when_one_leaves(shop: Open) -> None:
    more = [f"d{number}" for number in range(4)]
    scene = await shop("ann", "ben", "cid", policy=["round-robin"], also=[*SIX, *more])
    await scene.enter("ann", "ben", "cid", *SIX, *more)

    async def counts(names: list[str]) -> dict[str, int]:
        for name in names:
            await scene.says(name, name)
            await scene.settled(name)
        team = ("ann", "ben", "cid")

        def shared() -> dict[str, int]:
            return {member: sum(bool(scene.got(member, name)) for name in names) for member in team}

        await scene.until(lambda: sum(shared().values()) == len(names), "all have somebody")
        return shared()

    assert await counts(SIX) == {"ann": 2, "ben": 2, "cid": 2}
    await scene.leave("ben")
    await scene.settled("ann")
    assert await counts(more) == {"ann": 2, "ben": 0, "cid": 2}


async def test_working_hours_decide(shop: Open) -> None:
    now = datetime.now(UTC)
    days = ",".join(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"))
    covering = f"{days} {now - timedelta(hours=2):%H:%M}-{now + timedelta(hours=2):%H:%M} UTC"
    other = f"{days} {now + timedelta(hours=4):%H:%M}-{now + timedelta(hours=6):%H:%M} UTC"
    scene = await shop(
        member=[{"jid": "ann@localhost", "hours": other}, {"jid": "ben@localhost", "hours": covering}], policy=["hours", "least-load"]
    )
    await scene.enter("ann", "ben", "cat")
    await scene.says("cat", "hello")
    await scene.gets("ben", "cat", "hello")


async def test_the_language_of_a_message_decides(shop: Open) -> None:
    members = [
        {"jid": "ann@localhost", "attributes": {"language": "fr"}},
        {"jid": "ben@localhost", "attributes": {"language": "de, en"}},
    ]
    scene = await shop(member=members, policy=["attributes", "least-load"])
    await scene.enter("ann", "ben", "cat", "dan")
    await scene["cat"].send(f"<message to='{SHOP}' type='chat' id='x' xml:lang='de'><body>hallo</body></message>")
    await scene.gets("ben", "cat", "hallo")
    await scene["dan"].send(f"<message to='{SHOP}' type='chat' id='x' xml:lang='fr'><body>salut</body></message>")
    await scene.gets("ann", "dan", "salut")


async def test_the_nearest_by_the_customers_published_place(shop: Open) -> None:
    members = [
        {"jid": "ann@localhost", "lat": -33.87, "lon": 151.21},
        {"jid": "ben@localhost", "lat": 48.137, "lon": 11.575},
    ]
    scene = await shop(member=members, policy=["nearest", "least-load"])
    await scene.enter("ann", "ben", "cat")
    place = "<geoloc xmlns='http://jabber.org/protocol/geoloc'><lat>52.52</lat><lon>13.40</lon></geoloc>"
    options = (
        "<publish-options><x xmlns='jabber:x:data' type='submit'>"
        "<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
        "<field var='pubsub#access_model'><value>open</value></field></x></publish-options>"
    )
    published = await scene["cat"].iq(
        "set",
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='http://jabber.org/protocol/geoloc'>"
        f"<item>{place}</item></publish>{options}</pubsub>",
    )
    assert published.get("type") == "result"
    await scene.says("cat", "hello")
    await scene.gets("ben", "cat", "hello")


async def test_the_lowest_round_trip_decides(shop: Open) -> None:
    scene = await shop("ann", "ben", policy=["bandwidth", "least-load"])
    await scene.enter("ann", "ben", "cat")
    await scene.says("cat", "hello")
    await scene.until(lambda: scene.got("ann", "cat") + scene.got("ben", "cat"), "somebody has it")
    admin = await scene.enter("admin")
    tried = await commands.run(admin, "virtual-policy", {"virtual": "shop", "try_customer": "dan@localhost"})
    assert "bandwidth" in tried.text


async def test_the_round_trip_is_measured_also_for_a_policy_that_is_set_live(shop: Open) -> None:
    scene = await shop("ann", "ben", policy=["latest"])
    admin = await scene.enter("admin")
    await scene.enter("ann", "ben")
    await commands.run(admin, "virtual-policy", {"virtual": "shop", "policy": ["bandwidth"]})
    tried = {"virtual": "shop", "try_customer": "dan@localhost"}

    async def is_measured() -> bool:
        return "by bandwidth" in (await commands.run(admin, "virtual-policy", tried)).text

    await scene.eventually(is_measured, "the round trips are known")


async def test_members_that_share_an_account(shop: Open) -> None:
    scene = await shop("desk@localhost/ann", "desk@localhost/ben", also=["desk"], policy=["round-robin"])
    await scene.enter("desk/ben", "cat", "dan")
    ben = scene["desk"]
    await scene.says("cat", "hello")
    await ben.until(lambda: ben.bodies(scene.of("cat")) == ["hello"] or None, what="desk/ben gets it")
    assert message_of(ben, "hello").get("to") == "desk@localhost/ben"
    ann = await scene.enter("desk/ann")
    await scene.says("dan", "hello too")
    await ann.until(lambda: ann.bodies(scene.of("dan")) == ["hello too"] or None, what="desk/ann gets the next")
    await ben.settled()
    assert ben.bodies(scene.of("dan")) == []


async def test_two_devices_make_one_conversation(shop: Open) -> None:
    scene = await shop("ann", "ben", "cid", policy=["round-robin"])
    await scene.enter("ann", "ben", "cid")
    phone, desk = await scene.enter("cat/phone"), await scene.enter("cat/desk")
    await asyncio.gather(*(device.message(SHOP, f"{number}") for number in range(10) for device in (phone, desk)))
    await scene["ann"].until(lambda: len(scene.got("ann", "cat")) == 20, what="ann has all of them")
    assert scene.got("ben", "cat") + scene.got("cid", "cat") == []


async def test_a_burst_stays_in_order_at_one_sub_user(shop: Open) -> None:
    scene = await shop("ann", "ben", policy=["random"])
    await scene.enter("ann", "ben", "cat")
    bodies = [f"{number}" for number in range(200)]
    await scene["cat"].send("".join(f"<message to='{SHOP}' type='chat' id='m{body}'><body>{body}</body></message>" for body in bodies))
    await scene.until(lambda: scene.got("ann", "cat") + scene.got("ben", "cat") == bodies, "200 in order", within=10)


@pytest.mark.parametrize("name", ["o\\27neil", "a%b", "c\\5c40d"])
async def test_any_local_part_has_a_conversation(shop: Open, name: str) -> None:
    address = {
        "o\\27neil": r"o\5c27neil\40localhost%shop@rapport.localhost",
        "a%b": r"a%b\40localhost%shop@rapport.localhost",
        "c\\5c40d": r"c\5c5c40d\40localhost%shop@rapport.localhost",
    }[name]
    scene = await shop("ann", also=[name])
    await scene.enter("ann", name)
    ann, customer = scene["ann"], scene[name]
    await customer.message(SHOP, "hello")
    await ann.until(lambda: ann.bodies(address) == ["hello"] or None, what="ann gets it from the escaped address")
    await ann.message(address, "hi")
    await customer.until(lambda: customer.bodies(SHOP) == ["hi"] or None, what="the answer is back")


async def test_lone_chat_states_open_nothing(shop: Open) -> None:
    scene = await shop("ann")
    await scene.enter("ann", "cat", "admin")
    await scene["cat"].message(SHOP, extra="<active xmlns='http://jabber.org/protocol/chatstates'/>")
    await scene.settled("cat", "ann")
    assert scene.got("ann", "cat") == []
    listed = await commands.run(scene["admin"], "conversations", {"virtual": "shop"})
    assert listed.rows == []
