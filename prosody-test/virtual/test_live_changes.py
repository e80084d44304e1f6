"""The team changes while conversations are open (spec/20-virtual.md, Commands), on a real server."""

from collections.abc import Awaitable, Callable

from rig import commands, xml
from rig.raw import RawClient
from rig.shop import SHOP, Shop, conversation

Open = Callable[..., Awaitable[Shop]]
HELP = "help@rapport.localhost"


async def remove(admin: RawClient, member: str) -> None:
    await commands.run(admin, "virtual-members", {"virtual": "shop", "action": "remove", "member": f"{member}@localhost"})


async def test_whoever_gets_the_conversation_of_one_who_was_removed_has_its_last_lines(shop: Open) -> None:
    scene = await shop("ann", "ben")
    admin = await scene.enter("admin")
    await scene.enter("ann", "ben", "cat")
    await scene.says("cat", "one")
    await scene.gets("ann", "cat", "one")
    await scene.answers("ann", "cat", "two")
    await scene.hears("cat", "two")
    await remove(admin, "ann")
    await scene["ann"].sees(scene.of("cat"), "offline")
    await scene.says("cat", "three")
    await scene.gets("ben", "cat", "three")
    lines = scene.got("ben", "cat")[0]
    assert lines.index("one") < lines.index("two")
    assert "three" not in lines


async def test_what_one_who_was_removed_did_not_answer_goes_to_the_next(shop: Open) -> None:
    scene = await shop("ann", "ben", policy=["latest"], answer_within="1s")
    admin = await scene.enter("admin")
    await scene.enter("ann", "ben", "cat")
    await scene.says("cat", "hello")
    await scene.gets("ann", "cat", "hello")
    await remove(admin, "ann")
    await scene.gets("ben", "cat", "hello")


async def test_a_virtual_user_that_the_file_has_no_more_goes_offline(shop: Open) -> None:
    scene = await shop("ann")
    await scene.enter("ann", "cat")
    cat = scene["cat"]
    await cat.presence(type="subscribe", to=SHOP)
    await cat.sees(SHOP, "online")
    await scene.rapport.stop()
    scene.rapport.settings["virtual"] = [{"node": "store", "name": "The Store", "members": ["ann@localhost"]}]
    scene.rapport.write_config()
    await scene.rapport.start()
    await cat.sees(SHOP, "offline")
    await cat.expect(lambda each: each.get("type") == "unsubscribed" and each.get("from") == SHOP)
    sent = await scene.says("cat", "hello")
    answer = await cat.expect(lambda each: each.get("id") == sent and each.get("type") == "error")
    assert xml.condition(answer) == "item-not-found"


async def test_a_virtual_user_that_is_removed_takes_its_conversations_along(shop: Open) -> None:
    scene = await shop("ann")
    admin = await scene.enter("admin")
    await scene.enter("ann", "cat")
    await commands.run(admin, "virtual-users", {"action": "add", "node": "help", "name": "Help Desk"})
    await commands.run(admin, "virtual-members", {"virtual": "help", "action": "add", "member": "ann@localhost"})
    await scene["cat"].message(HELP, "hello")
    await scene["ann"].sees(conversation("cat@localhost", "help"), "online")
    await commands.run(admin, "virtual-users", {"action": "remove", "node": "help"})
    await scene["ann"].sees(conversation("cat@localhost", "help"), "offline")


async def test_who_waits_at_a_virtual_user_that_is_removed_gets_the_message_back(shop: Open) -> None:
    scene = await shop("ann")
    admin, cat = await scene.enter("admin"), await scene.enter("cat")
    await commands.run(admin, "virtual-users", {"action": "add", "node": "help", "name": "Help Desk"})
    sent = await cat.message(HELP, "hello")
    await cat.until(lambda: cat.bodies(HELP), what="cat is told to wait")
    await commands.run(admin, "virtual-users", {"action": "remove", "node": "help"})
    returned = await cat.expect(lambda each: each.get("id") == sent and each.get("type") == "error")
    assert (xml.sender(returned), xml.condition(returned)) == (HELP, "item-not-found")


async def test_a_sub_user_who_is_added_gets_what_waits(shop: Open) -> None:
    scene = await shop("ann")
    admin = await scene.enter("admin")
    await scene.enter("ben", "cat")
    await scene.says("cat", "hello")
    await scene["cat"].until(lambda: scene["cat"].bodies(SHOP), what="cat is told to wait")
    await commands.run(admin, "virtual-members", {"virtual": "shop", "action": "add", "member": "ben@localhost/phone"})
    await scene.gets("ben", "cat", "hello")
