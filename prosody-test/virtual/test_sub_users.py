"""A message from a sub-user, and slash commands (spec/20-virtual.md), on a real server."""

from collections.abc import Awaitable, Callable

import pytest
from rig import xml
from rig.shop import SHOP, Shop, message_of

Open = Callable[..., Awaitable[Shop]]


async def talking(shop: Open, *members: str, **more: object) -> Shop:
    """cat has written `hello`, and ann has it."""
    scene = await shop(*(members or ("ann", "ben", "cid")), **more)
    await scene.enter("ann", "ben", "cat")
    await scene.says("cat", "hello")
    await scene.gets("ann", "cat", "hello")
    return scene


async def told(scene: Shop, member: str, line: str) -> str:
    """Give a slash command; the answer."""
    start = scene[member].mark()
    await scene.answers(member, "cat", line)
    client = scene[member]
    answers = await client.until(lambda: client.bodies(scene.of("cat"), start), what=f"an answer to {line}")
    return answers[-1]


async def test_nobody_else_may_write_there(shop: Open) -> None:
    scene = await talking(shop)
    for name in ("cat", "dan"):
        if name == "dan":
            await scene.enter("dan")
        sent = await scene.answers(name, "cat", "let me in")
        answer = await scene[name].expect(lambda each, sent=sent: each.get("type") == "error" and each.get("id") == sent)
        assert xml.condition(answer) == "forbidden"
    await scene.settled("cat")
    assert scene["cat"].bodies(SHOP) == []


async def test_another_members_first_message_takes_it_over_and_all_see_it(shop: Open) -> None:
    scene = await talking(shop)
    await scene.answers("ben", "cat", "I know this")
    await scene.hears("cat", "I know this")
    await scene["ann"].until(lambda: "ben" in scene.got("ann", "cat")[-1] or None, what="ann sees a line")
    await scene["ben"].until(lambda: any("taken over" in line for line in scene.got("ben", "cat")), what="ben sees a line")
    await scene["ben"].until(lambda: any("hello" in line for line in scene.got("ben", "cat")), what="ben has the last lines")
    await scene.says("cat", "thanks")
    await scene.gets("ben", "cat", "thanks")
    await scene.settled("ann")
    assert "thanks" not in scene.got("ann", "cat")


async def test_transfer_to_somebody_absent_is_refused_and_the_customer_sees_nothing(shop: Open) -> None:
    scene = await talking(shop)
    for line in ("/transfer nobody", "/transfer cid"):
        assert "ben@localhost" in await told(scene, "ann", line)
    await scene.says("cat", "still there?")
    await scene.gets("ann", "cat", "still there?")
    await scene.settled("cat")
    assert scene["cat"].bodies(SHOP) == []


@pytest.mark.parametrize("name", ["ben", "ben@localhost", "Benjamin"])
async def test_transfer_hands_over_and_the_old_one_gets_no_more(shop: Open, name: str) -> None:
    scene = await talking(shop)
    await scene["ben"].iq("set", "<vCard xmlns='vcard-temp'><FN>Benjamin</FN></vCard>")
    assert "ben@localhost" in await told(scene, "ann", f"/transfer {name}")
    await scene["ben"].until(lambda: any("hello" in line for line in scene.got("ben", "cat")), what="ben has the last lines")
    await scene.says("cat", "anybody?")
    await scene.gets("ben", "cat", "anybody?")
    await scene.settled("ann", "cat")
    assert "anybody?" not in scene.got("ann", "cat")
    assert scene["cat"].bodies(SHOP) == []


async def test_close_who_why_note_help_and_unknown_ones_stay_here(shop: Open) -> None:
    scene = await talking(shop)
    assert "ann@localhost" in await told(scene, "ann", "/who")
    why = await told(scene, "ann", "/why")
    assert "least-load" in why or "longest-idle" in why or "jid" in why
    assert "ben@localhost" in why
    assert "cid@localhost" in why
    await told(scene, "ann", "/note wants a refund")
    helped = await told(scene, "ann", "/help")
    assert all(word in helped for word in ("/transfer", "/close", "/who", "/why", "/note", "/help"))
    assert "/help" in await told(scene, "ann", "/frobnicate")
    await told(scene, "ann", "/close")
    await scene.says("cat", "again")
    await scene.settled("cat")
    assert scene["cat"].bodies(SHOP) == []


async def test_two_slashes_send_one_and_me_goes_on(shop: Open) -> None:
    scene = await talking(shop)
    await scene.answers("ann", "cat", "//transfer ben")
    await scene.answers("ann", "cat", "/me waves")
    await scene.hears("cat", "/transfer ben", "/me waves")


async def test_receipts_and_markers_name_messages_as_each_side_knows_them(shop: Open) -> None:
    scene = await talking(shop)
    sent = await scene.answers("ann", "cat", "read this", "<request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/>")
    await scene.hears("cat", "read this")
    seen = message_of(scene["cat"], "read this").get("id") or ""
    assert seen != sent
    await scene["cat"].message(SHOP, extra=f"<received xmlns='urn:xmpp:receipts' id='{seen}'/>")
    await scene["cat"].displayed(SHOP, seen)
    receipt = await scene["ann"].expect(lambda each: xml.child(each, "received", "urn:xmpp:receipts") is not None)
    marker = await scene["ann"].expect(lambda each: xml.child(each, "displayed", xml.MARKERS) is not None)
    for each in (receipt, marker):
        assert each.get("from") == scene.of("cat")
        assert next(child.get("id") for child in each if child.get("id")) == sent
    asked = await scene.says("cat", "and you?", "<markable xmlns='urn:xmpp:chat-markers:0'/>")
    await scene.gets("ann", "cat", "and you?")
    await scene["ann"].displayed(scene.of("cat"), asked)
    back = await scene["cat"].expect(lambda each: xml.child(each, "displayed", xml.MARKERS) is not None)
    assert (back.get("from"), next(child.get("id") for child in back if child.get("id"))) == (SHOP, asked)


async def test_a_sub_user_may_begin(shop: Open) -> None:
    scene = await shop("ann", "ben")
    await scene.enter("ann", "ben", "cat")
    await scene.answers("ben", "cat", "your book is here")
    await scene.hears("cat", "your book is here")
    await scene.says("cat", "coming")
    await scene.gets("ben", "cat", "coming")
