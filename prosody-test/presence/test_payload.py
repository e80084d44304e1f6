"""S0, what a contact receives: the user's own presence with another show, and nothing else (spec: What the contact receives)."""

from xml.etree import ElementTree as ET

import pytest
from rig import xml
from rig.aio import AioClient
from rig.stream import new_id

RICH = (
    "<status xml:lang='en'>in a meeting</status>"
    "<priority>7</priority>"
    "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://gajim.org' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>"
    "<x xmlns='vcard-temp:x:update'><photo>sha1-hash-of-image</photo></x>"
    "<nick xmlns='http://jabber.org/protocol/nick'>Al &amp; Ice</nick>"
    "<idle xmlns='urn:xmpp:idle:1' since='2025-01-01T00:00:00Z'/>"
    "<status xml:lang='de'>im Gespräch</status>"
    "<thing xmlns='urn:example:unknown' b='2' a='&lt;1&gt;'>text<inner>deep</inner>tail</thing>"
)
OWN = {
    "a show first": "<show>away</show>" + RICH,
    "a show in the middle": RICH.replace("<priority>", "<show>away</show><priority>"),
    "no show": RICH,
}


def canonical(element) -> str:
    return ET.canonicalize(xml.dump(element))


def without(presence, *names: str) -> list[str]:
    """The children, in order, but those."""
    return [canonical(child) for child in presence if xml.name(child) not in names]


async def broadcast(session, own: str, to, lang: str = "de"):
    """Send it; what this contact receives of it."""
    identity = new_id()
    await session.send(f"<presence id='{identity}' xml:lang='{lang}'>{own}</presence>")
    received = await to.until(lambda: [each for each in to.presences("alice@localhost") if each.get("id") == identity])
    return received[-1]


@pytest.mark.parametrize("own", OWN.values(), ids=OWN.keys())
async def test_only_the_show_changes_and_in_its_place(scene, own):
    s = await scene("alice", "bob", "carol")
    alice, bob = s["alice"], s["bob"]
    truth = await broadcast(alice, own, bob)
    await s.set_rules()
    await s["carol"].message("alice@localhost", "unread")
    await bob.sees("alice@localhost", "dnd")
    tailored = bob.presences("alice@localhost")[-1]
    assert tailored.attrib == truth.attrib
    assert without(tailored, "show") == without(truth, "show")
    if xml.child(truth, "show") is not None:
        assert [xml.name(each) for each in tailored] == [xml.name(each) for each in truth]
    assert [xml.dump(each) for each in xml.children(tailored, "status")] == [xml.dump(each) for each in xml.children(truth, "status")]


async def test_the_outcome_online_passes_the_own_presence_unchanged(scene):
    s = await scene("alice", "bob", "carol")
    alice, bob = s["alice"], s["bob"]
    truth = await broadcast(alice, OWN["a show first"], bob)
    await s.set_rules()
    await broadcast(alice, OWN["a show first"].replace("Gespräch", "Haus"), bob)
    again = await broadcast(alice, OWN["a show first"], bob)
    again.set("id", truth.get("id"))
    assert canonical(again) == canonical(truth)


async def test_a_status_text_of_the_outcome_replaces_those_of_all_languages(scene):
    s = await scene("alice", "bob", "carol")
    alice, bob = s["alice"], s["bob"]
    truth = await broadcast(alice, RICH, bob)
    await s.set_rules(status_busy="Messages <pile> up & up")
    await s["carol"].message("alice@localhost", "unread")
    await bob.sees("alice@localhost", "dnd")
    tailored = bob.presences("alice@localhost")[-1]
    assert [each.text for each in xml.children(tailored, "status")] == ["Messages <pile> up & up"]
    assert without(tailored, "show", "status") == without(truth, "show", "status")
    assert tailored.attrib == truth.attrib


async def test_it_comes_to_the_bare_jid_from_the_full_one(scene):
    s = await scene("alice/pho ne", "bob", "carol")
    await s.set_rules()
    await s["carol"].message("alice@localhost", "unread")
    await s["bob"].sees("alice@localhost", "dnd")
    last = s["bob"].presences("alice@localhost")[-1]
    # ejabberd puts the session's JID into all that it delivers.
    to = "bob@localhost" if s.server.kind == "prosody" else s["bob"].jid
    assert (last.get("from"), last.get("to")) == ("alice@localhost/pho ne", to)


async def test_each_resource_is_tailored_on_its_own(scene, client):
    s = await scene("alice/a", "bob", "carol")
    second = await client(s.server, "alice@localhost/x@y/z", show="xa")
    bob = s["bob"]
    await bob.until(lambda: bob.shows("alice@localhost") == {"a": "online", "x@y/z": "xa"})
    await s.set_rules()
    await s["carol"].message("alice@localhost", "unread")
    await bob.until(lambda: bob.shows("alice@localhost") == {"a": "dnd", "x@y/z": "xa"})
    await second.presence("chat")
    await bob.until(lambda: bob.shows("alice@localhost") == {"a": "dnd", "x@y/z": "dnd"})
    start = bob.mark()
    await second.presence(type="unavailable")
    await bob.until(lambda: bob.shows("alice@localhost") == {"a": "dnd"})
    await s.settled()
    assert [(each.get("from"), xml.show(each)) for each in bob.presences("alice@localhost", start)] == [
        ("alice@localhost/x@y/z", "offline")
    ]


async def test_the_users_own_resources_see_the_truth(scene, client):
    s = await scene("alice/a", "bob", "carol")
    await s.set_rules()
    other = await client(s.server, "alice@localhost/b")
    await s["carol"].message("alice@localhost", "unread")
    await s["bob"].until(lambda: s["bob"].shows("alice@localhost") == {"a": "dnd", "b": "dnd"})
    await s["alice"].presence("away")
    await other.until(lambda: other.shows("alice@localhost").get("a") == "away")
    late = await client(s.server, "alice@localhost/c")
    await late.until(lambda: late.shows("alice@localhost").get("a") == "away")
    await s.settled()
    assert set(other.saw("alice@localhost")) <= {"online", "away"}
    assert "dnd" not in s["alice"].saw("alice@localhost")
    assert late.shows("alice@localhost")["b"] == "online"


async def test_nothing_goes_out_twice_that_the_contact_already_sees(scene):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    carol, bob = s["carol"], s["bob"]
    await carol.message("alice@localhost", "one")
    await bob.sees("alice@localhost", "dnd")
    await carol.sees("alice@localhost", "away")
    starts = bob.mark(), carol.mark()
    for number in range(5):
        await carol.message("alice@localhost", f"more {number}")
    await s["alice"].presence()
    await s.settled("carol")
    await s.settled("alice")
    assert bob.saw("alice@localhost", starts[0]) == []
    assert carol.saw("alice@localhost", starts[1]) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_an_aioxmpp_client_takes_the_tailored_presence_too(scene):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    async with AioClient(s.server, "bob@localhost/aio") as bob:
        await bob.sees("alice@localhost/phone", "online")
        await s["carol"].message("alice@localhost", "unread")
        await bob.sees("alice@localhost/phone", "dnd")
        await bob.message("alice@localhost", "hello")
        await bob.sees("alice@localhost/phone", "away")
        await s["alice"].message("bob@localhost", "hello")
        await bob.sees("alice@localhost/phone", "online")
