"""Customers and sub-users on another server, and a server without the module (spec/20-virtual.md)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from rig import xml
from rig.raw import RawClient
from rig.server import COMPONENT, Host
from rig.shop import SHOP, Shop, conversation

THERE = "there.localhost"
Open = Callable[..., Awaitable[Shop]]


@pytest.fixture
async def far(make_server: Callable[..., Awaitable[Any]]) -> AsyncIterator[tuple[Any, Any]]:
    """Two servers: ours with ann, ben and cat, another one with zoe and yan."""
    two = await make_server([Host(THERE, {"zoe": [], "yan": []}, served=False)], peers={}, module=False)
    users: dict[str, list[Any]] = {name: [] for name in ("ann", "ben", "cat", "dan")}
    one = await make_server([Host("localhost", users)], peers={THERE: two.s2s_port})
    two.peers = {"localhost": one.s2s_port, COMPONENT: one.s2s_port}
    two.component = "another.there.localhost"  # else it would take Rapport's domain for its own
    await two.restart()
    yield one, two


async def test_a_customer_on_another_server(shop: Open, far: tuple[Any, Any], client: Callable[..., Awaitable[RawClient]]) -> None:
    one, two = far
    scene = await shop("ann", server=one)
    ann = await scene.enter("ann")
    zoe = await client(two, f"zoe@{THERE}/home")
    await zoe.presence(type="subscribe", to=SHOP)
    await zoe.sees(SHOP, "online", within=10)
    sent = await zoe.message(SHOP, "from afar")
    address = conversation(f"zoe@{THERE}")
    await ann.until(lambda: ann.bodies(address) == ["from afar"] or None, within=10, what="ann gets it")
    assert any(each.get("id") == sent for each in ann.received)
    await ann.message(address, "well met")
    await zoe.until(lambda: zoe.bodies(SHOP) == ["well met"] or None, within=10, what="zoe gets the answer")
    await ann.presence("dnd")
    await zoe.sees(SHOP, "dnd", within=10)


async def test_a_sub_user_on_another_server(shop: Open, far: tuple[Any, Any], client: Callable[..., Awaitable[RawClient]]) -> None:
    one, two = far
    scene = await shop(f"zoe@{THERE}", "ann", server=one, policy=["latest"], absence_grace="0s")
    cat = await scene.enter("cat")
    zoe = await client(two, f"zoe@{THERE}/home")
    asked = await zoe.expect(lambda each: each.get("type") == "subscribe", within=15, what="the shop asks to see zoe")
    assert xml.sender(asked) == SHOP
    await zoe.presence(type="subscribed", to=SHOP)
    await cat.presence(type="subscribe", to=SHOP)
    await cat.sees(SHOP, "online", within=10)
    await scene.says("cat", "hello")
    await zoe.until(lambda: zoe.bodies(scene.of("cat")) == ["hello"] or None, within=10, what="zoe gets it")
    await zoe.message(scene.of("cat"), "hi")
    await scene.hears("cat", "hi", within=10)
    await scene.rapport.restart()
    await scene.says("cat", "still there?")
    await zoe.until(lambda: zoe.bodies(scene.of("cat"))[-1] == "still there?" or None, within=10, what="zoe is still known to be there")
    await zoe.close()
    await cat.sees(SHOP, "offline", within=10)
    await scene.enter("ann")
    await scene.says("cat", "anybody?")
    await scene.gets("ann", "cat", "anybody?")


async def test_a_sub_user_whose_server_is_gone(shop: Open, far: tuple[Any, Any], client: Callable[..., Awaitable[RawClient]]) -> None:
    one, two = far
    scene = await shop(f"zoe@{THERE}", "ann", server=one, policy=["latest"])
    cat = await scene.enter("cat")
    zoe = await client(two, f"zoe@{THERE}/home")
    await zoe.expect(lambda each: each.get("type") == "subscribe", within=15)
    await zoe.presence(type="subscribed", to=SHOP)
    await cat.presence(type="subscribe", to=SHOP)
    await cat.sees(SHOP, "online", within=10)
    await two.kill()
    await scene.enter("ann")
    for number in range(3):
        await scene.says("cat", f"{number}")

    def got() -> list[str]:
        return [body for body in scene.got("ann", "cat") if body.isdecimal()]

    await scene.until(lambda: got() == ["0", "1", "2"], "ann gets what could not be delivered", within=60)


async def test_without_the_module_sub_users_are_known_by_subscription(shop: Open, make_server: Callable[..., Awaitable[Any]]) -> None:
    server = await make_server([Host("localhost", {"ann": [], "cat": []})], module=False)
    scene = await shop("ann", server=server)
    ann = await scene.enter("ann")
    await ann.expect(lambda each: each.get("type") == "subscribe" and xml.sender(each) == SHOP, within=10)
    await ann.presence(type="subscribed", to=SHOP)
    await scene.enter("cat")
    await scene.says("cat", "hello")
    await scene.gets("ann", "cat", "hello")
    await scene.answers("ann", "cat", "hi")
    await scene.hears("cat", "hi")


async def test_after_a_restart_it_is_waited_for_whether_remote_sub_users_are_there(
    shop: Open, make_server: Callable[..., Awaitable[Any]]
) -> None:
    server = await make_server([Host("localhost", {"ann": [], "ben": [], "cat": [], "dan": []})], module=False)
    scene = await shop("ann", "ben", server=server, absence_grace="0s", policy=["latest"])
    ann, ben = await scene.enter("ann"), await scene.enter("ben")
    for member in (ann, ben):
        await member.expect(lambda each: each.get("type") == "subscribe" and xml.sender(each) == SHOP, within=10)
        await member.presence(type="subscribed", to=SHOP)
    cat = await scene.enter("cat")
    await cat.presence(type="subscribe", to=SHOP)
    await cat.sees(SHOP, "online")
    await scene.says("cat", "hello")
    await scene.gets("ann", "cat", "hello")
    start = cat.mark()
    await scene.enter("dan")
    await scene.rapport.restart()
    await scene.says("cat", "still there?")
    await scene.gets("ann", "cat", "still there?")
    await scene.says("dan", "hello")
    await scene.gets("ben", "dan", "hello")
    assert cat.saw(SHOP, start) == []
    assert cat.bodies(SHOP, start) == scene["dan"].bodies(SHOP) == []
    await scene.rapport.stop()
    for member in (ann, ben):
        await member.presence(type="unavailable")
        await member.close()
    await scene.rapport.start()
    await cat.sees(SHOP, "offline")
    await scene.says("cat", "anybody?")
    await cat.until(lambda: cat.bodies(SHOP), what="cat is told that nobody is there")
