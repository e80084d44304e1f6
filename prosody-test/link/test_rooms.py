"""Taps of rooms (docs/link.md, 3): where the admin says so, with the text, the author's real JID and who gets it."""

from collections.abc import Mapping

import pytest
from rig import xml

ROOM = "talk@conference.localhost"
JOIN = "<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>"
OWNER = "http://jabber.org/protocol/muc#admin"


async def join(client, nick, room=ROOM):
    await client.presence(to=f"{room}/{nick}", extra=JOIN)
    await client.until(lambda: client.presences(f"{room}/{nick}"))
    return client


async def say(client, body=None, extra=""):
    """Say it in the room; its id, when it came back from there."""
    identity = await client.message(ROOM, body, extra, type="groupchat")
    await client.expect(lambda stanza: stanza.get("id") == identity and stanza.get("type") == "groupchat", within=5)
    return identity


def members(tap) -> Mapping[str, str | None]:
    return {each.get("jid"): each.get("nick") for each in xml.children(tap, "member", xml.LINK)}


def message_of(tap):
    message = xml.child(tap, "message", "jabber:client")
    assert message is not None
    return message


@pytest.fixture
async def talk(make_server, client, linked):
    """A room with alice as Alice, on two resources, and bob as Bob; the component; carol is a member who is away."""
    server = await make_server(rooms=True)
    rapport = await linked(server)
    alice = await join(await client(server, "alice@localhost/phone"), "Alice")
    bob = await join(await client(server, "bob@localhost/laptop"), "Bob")
    await join(await client(server, "alice@localhost/desk"), "Alice")
    answer = await alice.iq("set", f"<query xmlns='{OWNER}'><item affiliation='member' jid='carol@localhost'/></query>", ROOM)
    assert answer.get("type") == "result"
    answer = await alice.iq("set", f"<query xmlns='{OWNER}'><item affiliation='outcast' jid='mallory@localhost'/></query>", ROOM)
    assert answer.get("type") == "result"
    return rapport, alice, bob


async def test_what_is_said_is_told_with_its_author_text_and_members(talk):
    rapport, _, bob = talk
    identity = await say(bob, "Alice: <hello> & 学", "<body xml:lang='de'>Hallo</body>")
    tap = await rapport.expect_notice("tap")
    message = message_of(tap)
    assert {name: message.get(name) for name in ("from", "to", "type", "id")} == {
        "from": "bob@localhost/laptop",
        "to": ROOM,
        "type": "groupchat",
        "id": identity,
    }
    assert sorted(each.text for each in message if each.tag == "{jabber:client}body") == ["Alice: <hello> & 学", "Hallo"]
    (stanza_id,) = xml.children(message, "stanza-id", "urn:xmpp:sid:0")
    (received,) = [each for each in bob.received if each.get("id") == identity and each.get("type") == "groupchat"]
    assert stanza_id.attrib == {"by": ROOM, "id": xml.child(received, "stanza-id", "urn:xmpp:sid:0").get("id")}
    assert members(tap) == {"alice@localhost": "Alice", "bob@localhost": "Bob", "carol@localhost": None}


async def test_each_is_told_once_however_many_get_it(talk):
    rapport, alice, bob = talk
    said = [await say(alice, "one"), await say(bob, "two"), await say(alice, "three")]
    await rapport.settled()
    assert [message_of(each).get("id") for each in rapport.notices("tap")] == said


async def test_references_replies_and_markers_are_told_with_their_attributes(talk):
    rapport, _, bob = talk
    extra = (
        "<reference xmlns='urn:xmpp:reference:0' type='mention' uri='xmpp:carol@localhost' begin='0' end='5'>x</reference>"
        f"<reply xmlns='urn:xmpp:reply:0' to='{ROOM}/Alice' id='a1'/>"
    )
    await say(bob, "Carol!", extra)
    await say(bob, extra="<displayed xmlns='urn:xmpp:chat-markers:0' id='a1'/>")
    first = message_of(await rapport.expect_notice("tap"))
    reference, reply = xml.child(first, "reference", "urn:xmpp:reference:0"), xml.child(first, "reply", "urn:xmpp:reply:0")
    assert (reference.get("uri"), reference.text) == ("xmpp:carol@localhost", None)
    assert dict(reply.attrib) == {"to": f"{ROOM}/Alice", "id": "a1"}
    await rapport.expect_notice("tap", where=lambda tap: xml.child(message_of(tap), "displayed", xml.MARKERS) is not None)


@pytest.mark.parametrize(
    "inner",
    [
        "<subject>What we talk about</subject>",
        "<composing xmlns='http://jabber.org/protocol/chatstates'/><no-store xmlns='urn:xmpp:hints'/>",
        "<body/><subject>x</subject>",
    ],
)
async def test_what_is_no_message_is_not_told(talk, inner):
    rapport, alice, _ = talk
    await alice.message(ROOM, extra=inner, type="groupchat")
    marker = await say(alice, "the end")
    await rapport.settled()
    assert [message_of(each).get("id") for each in rapport.notices("tap")] == [marker]


async def test_what_the_room_refuses_is_not_told(talk, client):
    rapport, alice, bob = talk
    await bob.presence(to=f"{ROOM}/Bob", type="unavailable")
    refused = await bob.message(ROOM, "from outside", type="groupchat")
    await bob.expect(lambda stanza: stanza.get("id") == refused and stanza.get("type") == "error", within=5)
    marker = await say(alice, "the end")
    await rapport.settled()
    assert [message_of(each).get("id") for each in rapport.notices("tap")] == [marker]


async def test_without_the_admins_word_no_room_is_tapped(make_server, client, linked):
    server = await make_server(muc=True)
    rapport = await linked(server)
    bob = await join(await client(server, "bob@localhost/laptop"), "Bob")
    await say(bob, "between us")
    await bob.message("alice@localhost", "the end")
    tap = await rapport.expect_notice("tap")
    await rapport.settled()
    assert message_of(tap).get("to") == "alice@localhost"
    assert len(rapport.notices("tap")) == 1
    assert "between us" not in "".join(map(xml.dump, rapport.received))


async def test_of_a_room_with_any_number_of_members_a_thousand_are_told(talk):
    rapport, alice, bob = talk
    for number in range(1_200):  # Prosody takes one at a time
        item = f"<item affiliation='member' jid='user{number}@localhost'/>"
        await alice.send(f"<iq type='set' id='member-{number}' to='{ROOM}'><query xmlns='{OWNER}'>{item}</query></iq>")
    await alice.expect(lambda stanza: stanza.get("id") == "member-1199", within=30)
    await say(bob, "so many")
    told = members(await rapport.expect_notice("tap"))
    assert len(told) == 1_000
    assert {"alice@localhost", "bob@localhost"} < set(told)


@pytest.mark.only_on("prosody", reason="ejabberd's rooms belong to a host")
async def test_rooms_of_a_domain_that_is_no_served_hosts_speak_for_any(make_server, client, linked):
    rooms = 'Component "rooms.elsewhere" "muc"\nmodules_enabled = { "rapport" }\nrapport_component = "rapport.localhost"'
    server = await make_server(component_extra=f"{rooms}\nmuc_room_locking = false")
    rapport = await linked(server)
    room = "talk@rooms.elsewhere"
    bob = await join(await client(server, "bob@localhost/laptop"), "Bob", room)
    await bob.message(room, "hello", type="groupchat")
    assert message_of(await rapport.expect_notice("tap", host="localhost")).get("to") == room
