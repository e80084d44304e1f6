"""Sessions, presence in a user's name, and the gate (docs/link.md, 3 and 4)."""

import pytest
from rig import xml
from rig.component import shown
from rig.server import Contact, Host, Server, friends
from rig.xml import Element

LANG = "{http://www.w3.org/XML/1998/namespace}lang"
CAPS = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/>"
NICK = "<nick xmlns='http://jabber.org/protocol/nick'>Ali</nick>"
OWN = f"<show>away</show><status>at lunch</status><status xml:lang='de'>zu Tisch</status><priority>5</priority>{CAPS}{NICK}"


def structure(element: Element) -> list[tuple[str, str | None, str | None]]:
    """The children: name, language, text (but for what mod_vcard_legacy adds)."""
    return [(xml.name(each), each.get(LANG), each.text) for each in element if xml.namespace(each) != "vcard-temp:x:update"]


def in_order(server: Server, children: list[tuple[str, str | None, str | None]]) -> list[tuple[str, str | None, str | None]]:
    """ejabberd has an order of its own for the children of a presence."""
    return children if server.kind == "prosody" else sorted(children, key=str)


def own_presence(session: Element) -> Element:
    presence = xml.child(session, "presence", "jabber:client")
    assert presence is not None
    return presence


async def session_of(component, jid, where=lambda session: True, within=5.0):
    return await component.expect_notice("session", where=lambda each: each.get("jid") == jid and where(each), within=within)


async def gated(component, jid):
    """Gate the user of a session that the component has heard of; the session as the module then tells it."""
    await component.gate([xml.bare(jid).partition("@")[0]])
    return await session_of(component, jid, where=lambda session: session.get("shown") == "1")


@pytest.fixture
async def scene(server, client, linked):
    """bob sees alice; she is gated; her session as the module told it."""
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/laptop")
    alice = await client(server, "alice@localhost/phone", available=False)
    await alice.send(f"<presence xml:lang='en' id='p1'>{OWN}</presence>")
    await bob.sees("alice@localhost", "away")
    session = await gated(rapport, alice.jid)
    return rapport, alice, bob, session


# -- sessions


async def test_each_presence_of_a_session_is_told_with_a_higher_v(server, client, linked):
    rapport = await linked(server)
    alice = await client(server, "alice@localhost/phone")
    first = await session_of(rapport, alice.jid)
    await alice.presence("xa", status="far", extra=CAPS)
    second = await session_of(rapport, alice.jid)
    assert int(second.get("v")) == int(first.get("v")) + 1
    assert (first.get("truth"), second.get("truth")) == ("1", "1")
    presence = own_presence(second)
    assert (presence.get("from"), presence.get("to"), presence.get("type")) == (alice.jid, None, None)
    children = [("show", None, "xa"), ("status", None, "far"), ("c", None, None)]
    assert in_order(server, structure(presence)) == in_order(server, children)
    await alice.presence(type="unavailable")
    gone = await session_of(rapport, alice.jid, where=lambda session: session.get("gone") == "1")
    assert int(gone.get("v")) > int(second.get("v"))
    await alice.presence()
    assert int((await session_of(rapport, alice.jid)).get("v")) > int(gone.get("v"))


async def test_a_sudden_death_is_told_and_directed_presence_is_not(server, client, linked):
    rapport = await linked(server)
    alice = await client(server, "alice@localhost/phone")
    await session_of(rapport, alice.jid)
    await alice.presence(to="bob@localhost")
    await alice.presence(to="room@muc.localhost/alice")
    await alice.presence(to="room@muc.localhost/alice", type="unavailable")
    await rapport.nothing(lambda stanza: xml.child(stanza, "session", xml.LINK) is not None)
    await alice.cut()
    assert (await session_of(rapport, "alice@localhost/phone")).get("gone") == "1"
    await rapport.nothing(lambda stanza: xml.child(stanza, "session", xml.LINK) is not None)


async def test_a_session_that_was_never_available_is_not_told(server, client, linked):
    rapport = await linked(server)
    alice = await client(server, "alice@localhost/phone", available=False)
    await alice.close()
    await rapport.nothing(lambda stanza: xml.child(stanza, "session", xml.LINK) is not None)


# -- show


@pytest.mark.parametrize(
    "as_, expected",
    [("own", "away"), ("online", None), ("chat", "chat"), ("away", "away"), ("xa", "xa"), ("dnd", "dnd")],
)
async def test_only_the_show_changes_in_its_place(scene, server, as_, expected):
    rapport, alice, bob, session = scene
    before = bob.presences("alice@localhost")[-1]
    start = bob.mark()
    await rapport.show(alice.jid, session.get("v"), as_, "K", ["bob@localhost"])
    await rapport.settled()
    await bob.ping()
    [after] = bob.presences("alice@localhost", start)
    # ejabberd puts the session's JID into all that it delivers.
    assert after.attrib == {**before.attrib, "to": "bob@localhost" if server.kind == "prosody" else bob.jid}
    wanted = [(name, lang, expected if name == "show" else text) for name, lang, text in structure(before) if name != "show" or expected]
    assert structure(after) == wanted


async def test_a_show_stands_where_clients_put_it_if_there_was_none(server, client, linked):
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/laptop")
    alice = await client(server, "alice@localhost/phone", available=False)
    await alice.send(f"<presence><priority>5</priority>{CAPS}</presence>")
    await alice.ping()
    session = await gated(rapport, alice.jid)
    await rapport.show(alice.jid, session.get("v"), "dnd", "K", ["bob@localhost"], "<status>busy &amp; so on</status>")
    await bob.sees("alice@localhost", "dnd")
    children = [("show", None, "dnd"), ("status", None, "busy & so on"), ("priority", None, "5"), ("c", None, None)]
    assert in_order(server, structure(bob.presences("alice@localhost")[-1])) == in_order(server, children)


async def test_given_status_texts_replace_all_that_were_there(scene, server):
    rapport, alice, bob, session = scene
    await rapport.show(
        alice.jid, session.get("v"), "dnd", "K", ["bob@localhost"], "<status>busy &lt;3</status><status xml:lang='fr'>occupée</status>"
    )
    await bob.sees("alice@localhost", "dnd")
    children = [
        ("show", None, "dnd"),
        ("status", None, "busy <3"),
        ("status", "fr", "occupée"),
        ("priority", None, "5"),
        ("c", None, None),
        ("nick", None, "Ali"),
    ]
    assert in_order(server, structure(bob.presences("alice@localhost")[-1])) == in_order(server, children)


async def test_offline_is_unavailable_with_nothing_but_a_given_status(scene, server):
    rapport, alice, bob, session = scene
    start = bob.mark()
    await rapport.show(alice.jid, session.get("v"), "offline", "K", ["bob@localhost"], "<status>bye</status>")
    await bob.sees("alice@localhost", "offline")
    [gone] = bob.presences("alice@localhost", start)
    to = "bob@localhost" if server.kind == "prosody" else bob.jid
    assert gone.attrib == {"from": alice.jid, "to": to, "type": "unavailable"}
    assert structure(gone) == [("status", None, "bye")]


async def test_a_show_for_a_session_that_is_gone_or_of_another_user_is_dropped_in_silence(scene, server, client):
    rapport, _, bob, session = scene
    carol = await client(server, "carol@localhost/tablet")
    other = await session_of(rapport, carol.jid)
    await bob.sees("carol@localhost", "online")
    start = bob.mark()
    await rapport.show("alice@localhost/gone", session.get("v"), "dnd", "K", ["bob@localhost"])
    await rapport.show(carol.jid, other.get("v"), "dnd", "K", ["bob@localhost"])
    await rapport.nothing(lambda stanza: xml.child(stanza, "refused", xml.LINK) is not None)
    await bob.ping()
    assert bob.saw("alice@localhost", start) == [] and bob.saw("carol@localhost", start) == []


async def test_a_stale_show_is_answered_once_with_what_the_contacts_have_seen(scene):
    rapport, alice, bob, session = scene
    await rapport.show(alice.jid, session.get("v"), "dnd", "K1", ["bob@localhost"])
    await bob.sees("alice@localhost", "dnd")
    await alice.send(f"<presence xml:lang='en' id='p2'>{OWN}</presence>")
    newer = await session_of(rapport, alice.jid, where=lambda each: int(each.get("v")) > int(session.get("v")))
    assert newer.get("shown") is None
    start = bob.mark()
    await rapport.show(alice.jid, session.get("v"), "xa", "K2", ["bob@localhost"])
    await rapport.show(alice.jid, session.get("v"), "xa", "K3", ["bob@localhost"])
    corrected = await session_of(rapport, alice.jid, where=lambda each: each.get("shown") == "1")
    assert (corrected.get("v"), corrected.get("truth")) == (newer.get("v"), "0")
    assert shown(corrected) == {"K1": {"bob@localhost"}}
    await rapport.settled()
    told = [xml.child(each, "session", xml.LINK) for each in rapport.received]
    assert [each.get("v") for each in told if each is not None and each.get("shown") == "1"] == [session.get("v"), newer.get("v")]
    await bob.ping()
    assert bob.saw("alice@localhost", start) == []


async def test_nobody_is_sent_what_they_have_seen_already(scene):
    rapport, alice, bob, session = scene
    start = bob.mark()
    for _ in range(3):
        await rapport.show(alice.jid, session.get("v"), "dnd", "K", ["bob@localhost"])
    await rapport.show(alice.jid, session.get("v"), "xa", "L", ["bob@localhost"])
    await bob.sees("alice@localhost", "xa")
    assert len(bob.saw("alice@localhost", start)) == 2


async def test_only_subscribed_and_unblocked_contacts_are_shown_anything(make_server, client, linked):
    roster = [Contact(f"{name}@localhost", kind) for name, kind in (("bob", "both"), ("carol", "from"), ("dora", "to"), ("eve", "none"))]
    users = {"alice": [*roster, Contact("frank@localhost"), Contact("gina@other.localhost")]}
    users |= {name: [Contact("alice@localhost")] for name in ("bob", "carol", "dora", "eve", "frank", "stranger")}
    hosts = [Host(users=users), Host("other.localhost", {"gina": [Contact("alice@localhost")]}, served=False)]
    server = await make_server(hosts)
    rapport = await linked(server, "alice")
    alice = await client(server, "alice@localhost/phone")
    session = await session_of(rapport, alice.jid)
    await alice.block("frank@localhost", "other.localhost")
    names = [f"{name}@localhost" for name in ("bob", "carol", "dora", "eve", "frank", "stranger")] + ["gina@other.localhost"]
    contacts = {jid: await client(server, f"{jid}/x") for jid in names}
    start = alice.mark()
    await rapport.show(alice.jid, session.get("v"), "dnd", "K", names)
    for jid in ("bob@localhost", "carol@localhost"):
        await contacts[jid].sees("alice@localhost", "dnd")
    for each in contacts.values():
        await each.ping()
    assert {jid for jid, each in contacts.items() if "dnd" in each.saw("alice@localhost")} == {"bob@localhost", "carol@localhost"}
    await rapport.hello()
    await rapport.gate(["alice"])
    [again] = [each for each in await rapport.ready() if each.get("jid") == alice.jid]
    assert shown(again)["K"] == {"bob@localhost", "carol@localhost"}
    assert not [each for each in alice.received[start:] if xml.name(each) == "presence" and each.get("type") == "error"]


async def test_every_session_of_the_contact_gets_it(scene, server, client):
    rapport, alice, bob, session = scene
    second = await client(server, "bob@localhost/second")
    await rapport.show(alice.jid, session.get("v"), "dnd", "K", ["bob@localhost"])
    await bob.sees("alice@localhost", "dnd")
    await second.sees("alice@localhost", "dnd")


# -- the gate


async def test_the_broadcast_of_a_gated_user_is_held_and_her_own_sessions_see_the_truth(scene, server, client):
    rapport, alice, bob, session = scene
    desk = await client(server, "alice@localhost/desk")
    start = bob.mark()
    await alice.presence("xa")
    told = await session_of(rapport, alice.jid, where=lambda each: each.get("truth") == "0")
    assert int(told.get("v")) == int(session.get("v")) + 1
    await desk.until(lambda: desk.shows("alice@localhost").get("phone") == "xa")
    await bob.ping()
    assert bob.saw("alice@localhost", start) == []
    await rapport.show(alice.jid, told.get("v"), "own", "K", ["bob@localhost"])
    await bob.until(lambda: bob.shows("alice@localhost").get("phone") == "xa")
    [got] = bob.presences("alice@localhost", start)
    assert xml.child(got, "delay") is None


async def test_users_who_are_not_gated_are_left_alone(scene, server, client):
    _, _, bob, _ = scene
    carol = await client(server, "carol@localhost/tablet")
    await bob.sees("carol@localhost", "online")
    await carol.presence("xa")
    await bob.sees("carol@localhost", "xa")


async def test_directed_presence_passes_and_is_forgotten_as_shown(scene):
    rapport, alice, bob, session = scene
    await rapport.show(alice.jid, session.get("v"), "dnd", "K", ["bob@localhost", "carol@localhost"])
    await bob.sees("alice@localhost", "dnd")
    start = bob.mark()
    await alice.presence("chat", to="bob@localhost")
    await alice.presence("xa", to=bob.jid)
    await alice.ping()
    await bob.until(lambda: bob.saw("alice@localhost", start) == ["chat", "xa"])
    assert shown(await gated(rapport, alice.jid)) == {"nothing": {"bob@localhost"}, "K": {"carol@localhost"}}


async def test_unavailable_passes_at_once_but_not_twice(scene, server, client):
    rapport, alice, bob, session = scene
    carol = await client(server, "carol@localhost/tablet")
    await carol.ping()
    await rapport.show(alice.jid, session.get("v"), "offline", "K", ["bob@localhost"])
    await rapport.show(alice.jid, session.get("v"), "dnd", "L", ["carol@localhost"])
    await bob.sees("alice@localhost", "offline")
    await carol.sees("alice@localhost", "dnd")
    start = bob.mark()
    await alice.cut()
    await carol.sees("alice@localhost", "offline")
    await bob.ping()
    assert bob.saw("alice@localhost", start) == []


async def test_a_contact_who_was_shown_offline_sees_the_next_session_go(scene, client, server):
    rapport, alice, bob, session = scene
    await rapport.show(alice.jid, session.get("v"), "offline", "K", ["bob@localhost"])
    await alice.presence(type="unavailable")
    await alice.presence()
    back = await session_of(rapport, alice.jid, where=lambda each: each.get("truth") == "0")
    assert shown(await gated(rapport, alice.jid)) == {}
    await rapport.show(alice.jid, back.get("v"), "own", "K", ["bob@localhost"])
    await bob.sees("alice@localhost", "online")
    await alice.presence(type="unavailable")
    await bob.sees("alice@localhost", "offline")


async def test_opting_out_is_plain_again(scene):
    rapport, alice, bob, session = scene
    await rapport.show(alice.jid, session.get("v"), "dnd", "K", ["bob@localhost"])
    await rapport.show(alice.jid, session.get("v"), "own", "K2", ["bob@localhost"])
    await rapport.gate(["alice"], on=False)
    await rapport.settled()
    await alice.presence("xa")
    await bob.sees("alice@localhost", "xa")
    told = await session_of(rapport, alice.jid, where=lambda each: int(each.get("v")) > int(session.get("v")))
    assert told.get("truth") == "1"
    assert shown(await gated(rapport, alice.jid)) == {}


async def test_what_each_contact_was_shown_outlives_a_reconnection(scene, component, server):
    rapport, alice, bob, session = scene
    await rapport.show(alice.jid, session.get("v"), "dnd", "K", ["bob@localhost"])
    await rapport.show(alice.jid, session.get("v"), "away", "L", ["carol@localhost"])
    await bob.sees("alice@localhost", "dnd")
    start = bob.mark()
    await rapport.cut()
    again = await component(server)
    await again.hello()
    await again.gate(["alice"])
    [told] = [each for each in await again.ready() if each.get("jid") == alice.jid]
    assert (told.get("v"), told.get("truth"), told.get("shown")) == (session.get("v"), "1", "1")
    assert shown(told) == {"K": {"bob@localhost"}, "L": {"carol@localhost"}}
    await bob.ping()
    assert bob.saw("alice@localhost", start) == []


async def test_a_user_who_is_not_named_again_is_shown_as_she_is(scene, component, server):
    rapport, alice, bob, session = scene
    await rapport.show(alice.jid, session.get("v"), "dnd", "K", ["bob@localhost"])
    await bob.sees("alice@localhost", "dnd")
    await rapport.hello()
    [told] = [each for each in await rapport.ready() if each.get("jid") == alice.jid]
    assert told.get("shown") is None and told.get("truth") == "1"
    await bob.sees("alice@localhost", "away")
    await alice.presence("xa")
    await bob.sees("alice@localhost", "xa")


# -- probes


async def test_the_probe_of_a_contact_is_handed_over_and_not_answered(scene, server, client):
    rapport, alice, _bob, session = scene
    await rapport.show(alice.jid, session.get("v"), "dnd", "K", ["bob@localhost", "carol@localhost"])
    second = await client(server, "bob@localhost/second")
    probe = await rapport.expect_notice("probe")
    assert (probe.get("from"), probe.get("to")) == (second.jid, "alice@localhost")
    await second.ping()
    assert second.saw("alice@localhost") == []
    assert shown(await gated(rapport, alice.jid)) == {"nothing": {"bob@localhost"}, "K": {"carol@localhost"}}


async def test_an_answered_probe_looks_like_the_servers_own_answer(scene, server, client):
    rapport, alice, _bob, session = scene
    await rapport.gate(["alice"], on=False)
    await rapport.settled()
    plain = await client(server, "bob@localhost/second")
    await plain.sees("alice@localhost", "away")
    await gated(rapport, alice.jid)
    asking = await client(server, "carol@localhost/third")
    await rapport.expect_notice("probe")
    await rapport.show(alice.jid, session.get("v"), "own", "K", ["carol@localhost"])
    await asking.sees("alice@localhost", "away")
    tailored, servers = asking.presences("alice@localhost")[-1], plain.presences("alice@localhost")[-1]
    assert [xml.dump(each) for each in tailored] == [xml.dump(each) for each in servers]
    assert xml.child(tailored, "delay", "urn:xmpp:delay") is not None
    start = asking.mark()
    await rapport.show(alice.jid, session.get("v"), "dnd", "L", ["carol@localhost"])
    await asking.sees("alice@localhost", "dnd")
    assert xml.child(asking.presences("alice@localhost", start)[-1], "delay") is None


async def test_probes_that_are_the_servers_to_answer_stay_so(make_server, client, linked):
    users = {**friends("alice", "bob"), "stranger": [Contact("alice@localhost", "to")]}
    server = await make_server([Host(users=users)])
    rapport = await linked(server, "alice")
    bob = await client(server, "bob@localhost/laptop")
    stranger = await client(server, "stranger@localhost/x")
    # Nobody is available (Prosody says so), then a contact who is not subscribed asks.
    if server.kind == "prosody":
        await bob.expect(lambda stanza: stanza.get("from") == "alice@localhost" and stanza.get("type") == "unavailable")
    await client(server, "alice@localhost/phone")
    start = stranger.mark()
    await stranger.presence(type="probe", to="alice@localhost")
    await stranger.ping()
    assert stranger.saw("alice@localhost", start) == []
    await rapport.nothing(lambda stanza: xml.child(stanza, "probe", xml.LINK) is not None)


async def test_the_presence_after_an_approval_is_held_and_asked_for(make_server, client, linked):
    server = await make_server([Host(users={"alice": [], "bob": []})])
    rapport = await linked(server, "alice")
    alice = await client(server, "alice@localhost/phone")
    bob = await client(server, "bob@localhost/laptop")
    session = await session_of(rapport, alice.jid)
    await bob.presence(type="subscribe", to="alice@localhost")
    await alice.expect(lambda stanza: stanza.get("type") == "subscribe")
    await alice.presence(type="subscribed", to="bob@localhost")
    await bob.expect(lambda stanza: stanza.get("type") == "subscribed")
    probe = await rapport.expect_notice("probe")
    assert (probe.get("from"), probe.get("to")) == ("bob@localhost", "alice@localhost")
    await rapport.expect_notice("changed", where=lambda changed: changed.get("user") == "alice" and changed.get("what") == "roster")
    await bob.ping()
    assert "online" not in bob.saw("alice@localhost")
    await rapport.show(alice.jid, session.get("v"), "dnd", "K", ["bob@localhost"])
    await bob.sees("alice@localhost", "dnd")


async def test_a_lifted_block_is_a_probe(scene, server):
    rapport, alice, bob, session = scene
    await alice.block("bob@localhost")
    # XEP-0191, 3.3: the server sends unavailable; ejabberd 23.01 does not.
    if server.kind == "prosody":
        await bob.sees("alice@localhost", "offline")
    start = bob.mark()
    await rapport.show(alice.jid, session.get("v"), "dnd", "K", ["bob@localhost"])
    await rapport.settled()
    await alice.unblock("bob@localhost")
    probe = await rapport.expect_notice("probe")
    assert (xml.bare(probe.get("from")), probe.get("to")) == ("bob@localhost", "alice@localhost")
    await bob.ping()
    assert bob.saw("alice@localhost", start) == []


# -- fail-open


async def test_without_the_component_the_gates_open_after_the_grace(make_server, client, linked, component):
    server = await make_server(grace=1)
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/laptop")
    alice = await client(server, "alice@localhost/phone", show="xa")
    session = await gated(rapport, alice.jid)
    await rapport.show(alice.jid, session.get("v"), "dnd", "K", ["bob@localhost"])
    await bob.sees("alice@localhost", "dnd")
    start = bob.mark()
    await rapport.cut()
    await alice.presence("chat")
    await bob.ping()
    assert bob.saw("alice@localhost", start) == []
    await bob.sees("alice@localhost", "chat", 5)
    assert xml.child(bob.presences("alice@localhost")[-1], "delay") is None
    await alice.presence("away")
    await bob.sees("alice@localhost", "away")
    assert bob.saw("alice@localhost", start) == ["chat", "away"]

    again = await component(server)
    await again.hello()
    await again.gate(["alice"])
    [told] = [each for each in await again.ready() if each.get("jid") == alice.jid]
    assert (told.get("truth"), shown(told)) == ("1", {})
    start = bob.mark()
    await alice.presence("dnd")
    await session_of(again, alice.jid, where=lambda each: each.get("truth") == "0")
    await bob.ping()
    assert bob.saw("alice@localhost", start) == []


async def test_unavailable_passes_while_the_component_is_away(make_server, client, linked):
    server = await make_server(grace=20)
    rapport = await linked(server, "alice")
    bob = await client(server, "bob@localhost/laptop")
    alice = await client(server, "alice@localhost/phone")
    session = await session_of(rapport, alice.jid)
    await rapport.show(alice.jid, session.get("v"), "dnd", "K", ["bob@localhost"])
    await bob.sees("alice@localhost", "dnd")
    await rapport.cut()
    await alice.cut()
    await bob.sees("alice@localhost", "offline")


async def test_a_component_that_never_gets_ready_leaves_the_gates_open(make_server, client, component):
    server = await make_server(grace=1)
    rapport = await component(server)
    await rapport.start("alice")
    await rapport.hello()
    await client(server, "alice@localhost/phone")
    bob = await client(server, "bob@localhost/laptop")
    assert bob.saw("alice@localhost") == []
    await bob.sees("alice@localhost", "online", 5)


async def test_who_is_gated_is_remembered_when_the_server_restarts(make_server, client, linked, component):
    server = await make_server(grace=3)
    rapport = await linked(server, "alice", "carol")
    await rapport.gate(["carol"], on=False)
    await rapport.settled()
    await server.restart()
    alice = await client(server, "alice@localhost/phone")
    await client(server, "carol@localhost/tablet")
    bob = await client(server, "bob@localhost/laptop")
    await bob.sees("carol@localhost", "online")
    await bob.ping()
    assert bob.saw("alice@localhost") == []
    again = await component(server)
    await again.hello()
    await again.gate(["alice"])
    [told] = [each for each in await again.ready() if each.get("jid") == alice.jid]
    assert told.get("truth") == "0"
    await again.show(alice.jid, told.get("v"), "dnd", "K", ["bob@localhost"])
    await bob.sees("alice@localhost", "dnd")


async def test_a_component_that_is_stalled_opens_the_gates(make_server, client, linked):
    server = await make_server(grace=1)
    rapport = await linked(server, "alice")
    bob = await client(server, "bob@localhost/laptop")
    alice = await client(server, "alice@localhost/phone")
    await bob.message("alice@localhost", "hello")
    await bob.sees("alice@localhost", "online", 5)
    start = rapport.mark()
    await alice.presence("away")
    await bob.sees("alice@localhost", "away")
    assert rapport.notices("session", start) == []
    await rapport.ack(1)
    await rapport.expect_notice("renew")
    await rapport.start("alice")
    mark = bob.mark()
    await alice.presence("xa")
    await session_of(rapport, alice.jid, where=lambda each: each.get("truth") == "0")
    await bob.ping()
    assert bob.saw("alice@localhost", mark) == []
