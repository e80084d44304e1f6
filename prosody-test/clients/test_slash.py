"""Slash commands of sub-users (spec/20-virtual.md) in clients that have some of their own: what is typed there for Rapport to get them."""

from collections.abc import Awaitable, Callable

import pytest
from rig.scene import Scene
from rig.shop import SHOP, conversation

from clients.conftest import Desk

CAT, ANN = "cat@localhost", "ann@localhost"
VIRTUAL = {"virtual": [{"node": "shop", "name": "The Bookshop", "members": [ANN]}]}


@pytest.mark.parametrize(
    ("kind", "who", "close", "literal"),
    [
        # Both send a line that begins with two slashes with one, and keep one that begins with one slash for themselves.
        ("gajim", "//who", "//close", "///close is a command"),
        ("profanity", "//who", "//close", "///close is a command"),
        # It keeps /clear, /close and /help, in lower case and with nothing after them.
        ("converse", "/who", "/Close", "//close is a command"),
    ],
)
async def test_a_sub_user_gives_slash_commands(
    kind: str, who: str, close: str, literal: str, stage: Callable[..., Awaitable[Scene]], desk: Desk
) -> None:
    scene = await stage({"cat": [], "ann": []}, "cat", settings=VIRTUAL)
    cat = scene["cat"]
    ann = await desk.log_in(kind, scene.server, "ann")
    await cat.message(SHOP, "hello")
    await ann.open_chat(conversation(CAT))
    await ann.hears("hello")
    await ann.say(who)
    await ann.hears("ann (ann@localhost) has this conversation with cat")
    await ann.say(literal)
    await cat.until(lambda: cat.bodies(SHOP), within=10, what="cat gets a line with a slash")
    await ann.say(close)
    await ann.hears("Closed.")
    assert cat.bodies(SHOP) == ["/close is a command"]
