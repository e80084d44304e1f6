"""Names and status (spec/20-virtual.md), on a real server."""

from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from hashlib import sha1
from pathlib import Path

from rig import xml
from rig.server import Contact
from rig.shop import SHOP, Shop

Open = Callable[..., Awaitable[Shop]]
NICK = "http://jabber.org/protocol/nick"
EVENT = "http://jabber.org/protocol/pubsub#event"
VCARD4 = "urn:ietf:params:xml:ns:vcard-4.0"
AVATAR = "vcard-temp:x:update"
PNG = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


async def test_a_sub_user_is_told_the_customers_name_as_gajim_takes_it(shop: Open) -> None:
    scene = await shop("ann")
    await scene.enter("ann", "cat")
    await scene["cat"].iq("set", "<vCard xmlns='vcard-temp'><FN>Catherine Sloper</FN></vCard>")
    await scene.says("cat", "hello")
    await scene.gets("ann", "cat", "hello")
    events = [each for each in scene["ann"].received if xml.child(each, "event", EVENT) is not None]
    assert [event.findtext(f".//{{{NICK}}}nick") for event in events] == ["Catherine Sloper"]
    assert events[0].get("from") == scene.of("cat")
    message = next(each for each in scene["ann"].received if xml.body(each) == "hello")
    assert scene["ann"].received.index(events[0]) < scene["ann"].received.index(message)
    assert xml.text(message, "nick", NICK) == "Catherine Sloper"


async def test_the_conversation_address_has_a_card_for_its_sub_users(shop: Open) -> None:
    scene = await shop("ann")
    await scene.enter("ann", "cat", "dan")
    await scene["cat"].iq("set", "<vCard xmlns='vcard-temp'><FN>Catherine Sloper</FN><NICKNAME>Cat</NICKNAME></vCard>")
    card = await scene["ann"].iq("get", "<vCard xmlns='vcard-temp'/>", scene.of("cat"))
    assert card.findtext(".//{vcard-temp}NICKNAME") == "Cat"
    card4 = await scene["ann"].iq("get", f"<vcard xmlns='{VCARD4}'/>", scene.of("cat"))
    assert card4.findtext(f".//{{{VCARD4}}}nickname/{{{VCARD4}}}text") == "Cat"
    node = f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{NICK}'/></pubsub>"
    assert (await scene["ann"].iq("get", node, scene.of("cat"))).findtext(f".//{{{NICK}}}nick") == "Cat"
    refused = await scene["dan"].iq("get", "<vCard xmlns='vcard-temp'/>", scene.of("cat"))
    assert xml.condition(refused) == "forbidden"


async def test_of_pep_nodes_an_address_has_those_of_its_card_and_no_other(shop: Open) -> None:
    scene = await shop("ann")
    await scene.enter("ann", "cat")

    async def ask(who: str, address: str, request: str) -> xml.Element:
        return await scene[who].iq("get", f"<pubsub xmlns='http://jabber.org/protocol/pubsub'>{request}</pubsub>", address)

    for who, address, name in (("cat", SHOP, "The Bookshop"), ("ann", scene.of("cat"), "cat")):
        answer = await ask(who, address, f"<items node='{NICK}'/>")
        assert answer.findtext(f".//{{{NICK}}}nick") == name
        answer = await ask(who, address, "<items node='urn:xmpp:vcard4'/>")
        assert answer.findtext(f".//{{{VCARD4}}}nickname/{{{VCARD4}}}text") == name
        for node in ("urn:xmpp:avatar:metadata", "eu.siacs.conversations.axolotl.devicelist"):
            assert xml.condition(await ask(who, address, f"<items node='{node}'/>")) == "item-not-found"
        assert xml.condition(await ask(who, address, "<subscriptions/>")) == "feature-not-implemented"


async def test_the_virtual_user_has_card_version_and_disco(shop: Open) -> None:
    scene = await shop("ann")
    cat = await scene.enter("cat")
    card = await cat.iq("get", "<vCard xmlns='vcard-temp'/>", SHOP)
    assert card.findtext(".//{vcard-temp}FN") == "The Bookshop"
    card4 = await cat.iq("get", f"<vcard xmlns='{VCARD4}'/>", SHOP)
    assert card4.findtext(f".//{{{VCARD4}}}fn/{{{VCARD4}}}text") == "The Bookshop"
    version = await cat.iq("get", "<query xmlns='jabber:iq:version'/>", SHOP)
    assert version.findtext(".//{jabber:iq:version}name") == "Rapport"
    info = await cat.iq("get", f"<query xmlns='{xml.DISCO_INFO}'/>", SHOP)
    identities = [(each.get("category"), each.get("type")) for each in info.iter(f"{{{xml.DISCO_INFO}}}identity")]
    assert identities == [("account", "registered")]
    items = await cat.iq("get", f"<query xmlns='{xml.DISCO_ITEMS}'/>", "rapport.localhost")
    assert SHOP in [each.get("jid") for each in items.iter(f"{{{xml.DISCO_ITEMS}}}item")]
    for address in (SHOP, f"{SHOP}/rapport"):
        for kind, payload in (
            ("get", "<query xmlns='urn:nope'/>"),
            ("set", "<query xmlns='urn:nope'/>"),
            ("get", "<time xmlns='urn:xmpp:time'/>"),
        ):
            answer = await cat.iq(kind, payload, address)
            assert (answer.get("type"), answer.get("from")) == ("error", address)


async def test_the_virtual_user_has_an_avatar(shop: Open, tmp_path: Path) -> None:
    picture = tmp_path / "shop.png"
    picture.write_bytes(PNG)
    scene = await shop("ann", avatar=str(picture))
    await scene.enter("ann", "cat")
    cat = scene["cat"]
    await cat.presence(type="subscribe", to=SHOP)
    await cat.sees(SHOP, "online")
    assert cat.presences(SHOP)[-1].findtext(f"{{{AVATAR}}}x/{{{AVATAR}}}photo") == sha1(PNG, usedforsecurity=False).hexdigest()
    card = await cat.iq("get", "<vCard xmlns='vcard-temp'/>", SHOP)
    assert card.findtext(".//{vcard-temp}PHOTO/{vcard-temp}TYPE") == "image/png"
    assert b64decode(card.findtext(".//{vcard-temp}PHOTO/{vcard-temp}BINVAL") or "") == PNG
    card4 = await cat.iq("get", f"<vcard xmlns='{VCARD4}'/>", SHOP)
    assert card4.findtext(f".//{{{VCARD4}}}photo/{{{VCARD4}}}uri") == f"data:image/png;base64,{b64encode(PNG).decode()}"


async def test_subscribers_see_one_status_from_a_full_jid(shop: Open) -> None:
    scene = await shop("ann", "ben")
    cat = await scene.enter("cat")
    await cat.presence(type="subscribe", to=SHOP)
    await cat.expect(lambda each: each.get("type") == "subscribed" and each.get("from") == SHOP)
    for name, show, seen in (("ann", "xa", "away"), ("ben", "dnd", "dnd"), ("ann", "away", "dnd"), ("ann", "chat", "online")):
        if name == "ann" and "ann" in scene.names:
            await scene["ann"].presence(show)
        else:
            await scene.enter(name, show=show)
        await cat.sees(SHOP, seen)
    assert set(cat.shows(SHOP)) == {"rapport"}
    await scene.leave("ann")
    await cat.sees(SHOP, "dnd")
    await scene.leave("ben")
    await cat.sees(SHOP, "offline")
    assert cat.saw(SHOP) == ["offline", "away", "dnd", "online", "dnd", "offline"]


async def test_one_of_two_resources_leaves(shop: Open) -> None:
    scene = await shop("ann", "ben", absence_grace="0s")
    cat = await scene.enter("cat")
    await cat.presence(type="subscribe", to=SHOP)
    await scene.enter("ann/a", show="xa")
    away = scene["ann"]
    await cat.sees(SHOP, "away")
    await scene.enter("ann/b")
    await cat.sees(SHOP, "online")
    await scene.says("cat", "hello")
    await scene.gets("ann", "cat", "hello")
    await scene.leave("ann")
    await cat.sees(SHOP, "away")
    await scene.says("cat", "anybody?")
    await cat.until(lambda: cat.bodies(SHOP), what="cat is told that nobody is there")
    await away.settled()
    assert "anybody?" not in away.bodies(scene.of("cat"))


async def test_a_conversation_is_online_for_its_sub_user_while_it_is_open(shop: Open) -> None:
    scene = await shop("ann", "ben")
    await scene.enter("ann", "ben", "cat")
    await scene.says("cat", "hello")
    await scene["ann"].sees(scene.of("cat"), "online")
    await scene.leave("ann")
    await scene.enter("ann")
    await scene["ann"].sees(scene.of("cat"), "online")
    assert set(scene["ann"].shows(scene.of("cat"))) == {"rapport"}
    await scene.answers("ann", "cat", "/transfer ben")
    await scene["ann"].sees(scene.of("cat"), "offline")
    await scene["ben"].sees(scene.of("cat"), "online")
    await scene.answers("ben", "cat", "/close")
    await scene["ben"].sees(scene.of("cat"), "offline")


async def test_subscriptions_do_not_ping_pong_and_end(shop: Open) -> None:
    scene = await shop("ann")
    await scene.enter("ann", "cat", "dan")
    cat, dan = scene["cat"], scene["dan"]
    for kind in ("subscribe", "subscribe", "subscribed", "subscribed"):
        await cat.presence(type=kind, to=SHOP)

    def shop_said() -> list[str | None]:
        return [each.get("type") for each in cat.received if xml.name(each) == "presence" and xml.sender(each) == SHOP]

    # The server passes on only what changes the roster: the second answer may be one of those that do not.
    await cat.until(lambda: "subscribed" in shop_said() and None in shop_said(), what="the request is answered")
    await scene.settled("cat", "cat")
    assert 1 <= shop_said().count("subscribed") <= 2
    assert shop_said().count(None) == 1
    assert len(shop_said()) < 6
    await dan.presence(type="probe", to=SHOP)
    await scene.settled("dan")
    assert dan.presences(SHOP) == []
    await cat.presence(type="unsubscribe", to=SHOP)
    await cat.sees(SHOP, "offline")
    start = cat.mark()
    await scene["ann"].presence("dnd")
    await scene.settled("ann", "cat")
    assert cat.presences(SHOP, start) == []


async def test_a_contact_who_logs_in_sees_the_status(shop: Open) -> None:
    """The server probes for whoever stands in the roster, also where Rapport never saw the subscription."""
    scene = await shop("ann", rosters={"cat": [Contact(SHOP, "to")]})
    await scene.enter("ann")
    cat = await scene.enter("cat")
    await cat.sees(SHOP, "online")
    await scene["ann"].presence("dnd")
    await cat.sees(SHOP, "dnd")


async def test_after_a_restart_nobody_is_told_what_they_know(shop: Open) -> None:
    scene = await shop("ann")
    await scene.enter("ann", "cat")
    cat = scene["cat"]
    await cat.presence(type="subscribe", to=SHOP)
    await cat.sees(SHOP, "online")
    start = cat.mark()
    await scene.rapport.restart()
    await scene["ann"].presence("dnd")
    await cat.sees(SHOP, "dnd")
    assert cat.saw(SHOP, start) == ["dnd"]
