"""Rapport in a roster, and what is written to it (case A18; spec: Addresses, What Rapport sends; RFC 6121, 3.3, 4.3, 5.2.2)."""

import pytest
from rig import commands, xml

OWN = {"the domain": ("rapport.localhost", "rapport.localhost"), "the node": (commands.CHAT, f"{commands.CHAT}/rapport")}
each_own = pytest.mark.parametrize(("address", "resource"), OWN.values(), ids=OWN.keys())


def presences(client, address, since):
    """(type, from) of every presence of the address, subscription stanzas too."""
    those = [each for each in client.received[since:] if xml.name(each) == "presence" and xml.sender(each) == address]
    return [(each.get("type"), each.get("from")) for each in those]


async def in_roster(client, address):
    """The subscription of the roster item; None: there is none."""
    roster = await client.iq("get", f"<query xmlns='{xml.ROSTER}'/>")
    return next((item.get("subscription") for item in roster[0] if item.get("jid") == address), None)


@each_own
async def test_who_subscribes_sees_it_online_and_who_unsubscribes_sees_it_gone(scene, address, resource):
    s = await scene("alice")
    alice = s["alice"]
    await in_roster(alice, address)
    start = alice.mark()
    await alice.presence(to=address, type="subscribe")
    await alice.expect(lambda each: each.get("from") == resource and xml.show(each) == "online")
    await alice.presence(to=address, type="subscribe")
    await alice.presence(to=address, type="subscribed")
    await s.settled()
    assert await in_roster(alice, address) in ("to", "both")
    seen = presences(alice, address, start)
    assert len(seen) < 6
    assert ("subscribe", address) not in seen
    later = await s.enter("alice/later")
    await later.expect(lambda each: each.get("from") == resource and xml.show(each) == "online")
    await alice.presence(to=address, type="unsubscribe")
    await alice.expect(lambda each: each.get("from") == resource and xml.show(each) == "offline")
    await s.settled()
    assert await in_roster(alice, address) in (None, "none", "from")


@each_own
async def test_what_is_no_command_is_not_answered(scene, address, resource):
    s = await scene("alice")
    alice = s["alice"]
    start = alice.mark()
    await alice.message(address, extra="<active xmlns='http://jabber.org/protocol/chatstates'/>")
    await alice.message(address, "")
    await alice.message(address, " ")
    await alice.displayed(address, "m1")
    await alice.message(address, "help", type="headline")
    await alice.presence("away", to=resource)
    await alice.presence(type="unavailable", to=address)
    assert (await commands.say(alice, "presence", to=address)).startswith("Presence rules are off")
    assert len(alice.bodies(address, start)) == 1
    assert presences(alice, address, start) == []


@each_own
async def test_a_command_is_understood_whatever_else_the_message_holds(scene, address, resource):
    s = await scene("alice")
    alice = s["alice"]
    more = (
        "<body xml:lang='de'>hilfe</body><thread>t1</thread><active xmlns='http://jabber.org/protocol/chatstates'/>"
        "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>nothing</body></html>"
        "<request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/>"
        "<replace xmlns='urn:xmpp:message-correct:0' id='m0'/>"
    )
    for kind in ("chat", "normal", None, "unheard-of"):
        start = alice.mark()
        await alice.message(address, " Presence\n", more, type=kind)
        (answer,) = await alice.until(lambda start=start: alice.bodies(address, start))
        assert answer.startswith("Presence rules are off")


@each_own
async def test_a_message_to_a_room_that_it_is_not_is_refused(scene, address, resource):
    s = await scene("alice")
    sent = await s["alice"].message(address, "hello all", type="groupchat")
    error = await s["alice"].expect(lambda each: each.get("id") == sent)
    assert (error.get("from"), xml.condition(error)) == (address, "service-unavailable")
