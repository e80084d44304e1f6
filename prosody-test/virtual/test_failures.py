"""If it fails (spec/20-virtual.md): errors, no answer, restarts and crashes on a real server."""

import contextlib
from collections.abc import Awaitable, Callable

from rig import xml
from rig.raw import RawClient
from rig.shop import SHOP, Shop
from rig.stream import StreamError

Open = Callable[..., Awaitable[Shop]]
REFUSED = f"<error type='cancel'><service-unavailable xmlns='{xml.STANZAS}'/></error>"


async def refuse(client: RawClient, stanza: xml.Element) -> None:
    """Return a message as a client's server would."""
    await client.send(f"<message to='{stanza.get('from')}' type='error' id='{stanza.get('id')}'>{REFUSED}</message>")


async def test_an_error_sends_the_messages_to_the_next_in_order(shop: Open) -> None:
    scene = await shop("ann", "ben", policy=["latest"])
    await scene.enter("ann", "ben", "cat")
    bodies = [f"{number}" for number in range(5)]
    for body in bodies:
        await scene.says("cat", body, id=f"m{body}")
    await scene.gets("ann", "cat", *bodies)
    for body in bodies:
        got = await scene["ann"].expect(lambda each, body=body: xml.body(each) == body)
        await refuse(scene["ann"], got)
    await scene.gets("ben", "cat", *bodies)
    await scene.settled("cat")
    assert not [each for each in scene["cat"].received if each.get("type") == "error"]


async def test_messages_of_the_same_id_come_back_each_for_itself(shop: Open) -> None:
    scene = await shop("ann", "ben", policy=["latest"])
    await scene.enter("ann", "ben", "cat")
    bodies = [f"{number}" for number in range(3)]
    for body in bodies:
        await scene.says("cat", body, id="again")
    await scene.gets("ann", "cat", *bodies)
    for body in bodies:
        await refuse(scene["ann"], await scene["ann"].expect(lambda each, body=body: xml.body(each) == body))
    await scene.gets("ben", "cat", *bodies)


async def test_a_message_goes_round_once_and_then_waits(shop: Open) -> None:
    scene = await shop("ann", "ben", policy=["latest"])
    await scene.enter("ann", "ben", "cat")
    await scene.says("cat", "hello")
    for member in ("ann", "ben"):
        await refuse(scene[member], await scene[member].expect(lambda each: xml.body(each) == "hello"))
    cat = scene["cat"]
    await cat.until(lambda: cat.bodies(SHOP), what="cat is told")
    await scene.settled("ann", "ben")
    assert (scene.got("ann", "cat"), [body for body in scene.got("ben", "cat") if body == "hello"]) == (["hello"], ["hello"])
    await scene.leave("ben")
    await scene.enter("ben")
    await scene.gets("ben", "cat", "hello")


async def test_with_bounce_what_all_have_returned_is_returned_to_the_customer(shop: Open) -> None:
    scene = await shop("ann", "ben", policy=["latest"], when_offline="bounce")
    await scene.enter("ann", "ben", "cat")
    sent = await scene.says("cat", "hello")
    for member in ("ann", "ben"):
        await refuse(scene[member], await scene[member].expect(lambda each: xml.body(each) == "hello"))
    returned = await scene["cat"].expect(lambda each: each.get("type") == "error" and each.get("id") == sent)
    assert (returned.get("from"), xml.condition(returned)) == (SHOP, "recipient-unavailable")


async def test_a_message_that_is_too_large_for_the_server_comes_back_and_holds_up_no_other(shop: Open) -> None:
    scene = await shop("ann")
    await scene.enter("ann", "cat", "dan")
    large = ">" * 200_000  # four times as long when it is written anew
    for sender, to in (("cat", SHOP), ("ann", scene.of("cat"))):
        await scene[sender].send(f"<message to='{to}' type='chat' id='large'><body>{large}</body></message>")
        returned = await scene[sender].expect(lambda each: each.get("id") == "large" and each.get("type") == "error", within=10)
        assert xml.condition(returned) == "resource-constraint"
        await scene.says("cat", f"after {sender}")
        await scene.gets("ann", "cat", f"after {sender}")
        await scene.answers("ann", "cat", f"yes, {sender}")
        await scene.hears("cat", f"yes, {sender}")


async def test_an_unanswered_customer_goes_to_the_next_who_is_paused_after_a_while(shop: Open) -> None:
    scene = await shop("ann", "ben", policy=["latest"], answer_within="1s", auto_pause=1)
    await scene.enter("ann", "ben", "cat", "dan", "eve")
    await scene.says("cat", "hello")
    await scene.gets("ann", "cat", "hello")
    await scene.gets("ben", "cat", "hello")
    await scene.answers("ben", "cat", "yes?")
    await scene.hears("cat", "yes?")
    ann = scene["ann"]
    await ann.until(lambda: ann.bodies(SHOP), what="ann is told that she is paused")
    await scene.says("dan", "hello")
    await scene.gets("ben", "dan", "hello")
    await scene.answers("ben", "dan", "yes?")
    await scene.answers("ann", "cat", "I am back")
    await scene.hears("cat", "I am back")
    await scene.says("eve", "hello")
    await scene.gets("ann", "eve", "hello")


async def test_receipts_that_a_client_sends_by_itself_are_no_sign_of_a_sub_user(shop: Open) -> None:
    scene = await shop("ann", "ben", policy=["latest"], answer_within="1s", auto_pause=2)
    await scene.enter("ann", "ben", "cat", "dan")
    ann = scene["ann"]
    for customer in ("cat", "dan"):
        sent = await scene.says(customer, "hello", "<request xmlns='urn:xmpp:receipts'/>")
        await scene.gets("ann", customer, "hello")
        await ann.message(scene.of(customer), extra=f"<received xmlns='urn:xmpp:receipts' id='{sent}'/>")
        await scene.gets("ben", customer, "hello")
        await scene.answers("ben", customer, "/close")
        await scene["ben"].until(lambda customer=customer: "Closed" in scene.got("ben", customer)[-1] or None, what="it is closed")
    await ann.until(lambda: ann.bodies(SHOP), what="ann is told that she is paused")


async def test_a_paused_sub_user_who_answers_the_shop_is_back(shop: Open) -> None:
    scene = await shop("ann", "ben", policy=["latest"], answer_within="1s", auto_pause=1)
    await scene.enter("ann", "ben", "cat", "dan")
    await scene.says("cat", "hello")
    await scene.gets("ben", "cat", "hello")
    await scene["ann"].until(lambda: scene["ann"].bodies(SHOP), what="ann is told that she is paused")
    await scene.leave("ben")
    await scene["ann"].message(SHOP, "I am back")
    await scene.settled("ann")
    await scene.says("dan", "hello")
    await scene.gets("ann", "dan", "hello")


async def test_an_absent_sub_user_does_not_hold_a_returning_customer(shop: Open) -> None:
    scene = await shop("ann", "ben", absence_grace="0s")
    await scene.enter("ann", "cat")
    await scene["cat"].presence(type="subscribe", to=SHOP)
    await scene.says("cat", "hello")
    await scene.gets("ann", "cat", "hello")
    await scene.answers("ann", "cat", "hi")
    await scene.hears("cat", "hi")
    await scene.leave("ann")
    await scene.enter("ben")
    await scene["cat"].sees(SHOP, "online")
    await scene.says("cat", "anybody?")
    await scene.gets("ben", "cat", "anybody?", within=2)
    await scene.enter("ann")
    await scene.says("cat", "again")
    await scene.gets("ben", "cat", "again")


async def test_what_waits_survives_kill_9_and_goes_oldest_first(shop: Open) -> None:
    scene = await shop("ann")
    await scene.enter("cat", "dan")
    await scene.says("cat", "c1/1")
    await scene["cat"].until(lambda: scene["cat"].bodies(SHOP), what="cat is told")
    await scene.says("cat", "c1/2")
    await scene.settled("cat")
    await scene.says("dan", "c2/1")
    await scene["dan"].until(lambda: scene["dan"].bodies(SHOP), what="dan is told")
    await scene.rapport.kill()
    await scene.rapport.start()
    ann = await scene.enter("ann")

    def got() -> list[str]:
        return [text for each in ann.received if xml.name(each) == "message" and (text := xml.body(each)) is not None]

    await ann.until(lambda: len(got()) == 3, what="ann has all three")
    await scene.settled("cat", "dan", "ann")
    assert got() == ["c1/1", "c1/2", "c2/1"]
    assert (len(scene["cat"].bodies(SHOP)), len(scene["dan"].bodies(SHOP))) == (1, 1)


async def test_a_restart_of_the_server_loses_nothing_that_rapport_has(shop: Open) -> None:
    scene = await shop("ann", "ben")
    await scene.enter("cat")
    await scene.says("cat", "one")
    await scene["cat"].until(lambda: scene["cat"].bodies(SHOP), what="cat is told")
    await scene.server.restart()
    with contextlib.suppress(StreamError):
        await scene["cat"].ended()
    await scene.rapport.linked()
    await scene.enter("ann", "cat")
    await scene.gets("ann", "cat", "one")
    await scene.says("cat", "two")
    await scene.gets("ann", "cat", "one", "two")
