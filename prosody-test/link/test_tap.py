"""The tap (docs/link.md, 3): once each, after acceptance, without a word of text."""

import time

import pytest
from rig import xml
from rig.server import Contact, Host, friends

BODY = "body"
ENCRYPTED = "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'><key rid='2'>c2VjcmV0</key></header>{}</encrypted>"


def message_of(tap):
    message = xml.child(tap, "message", "jabber:client")
    assert message is not None
    return message


def tapped(component, since=0):
    return [message_of(each) for each in component.notices("tap", since)]


def ids(component):
    return [each.get("id") for each in tapped(component)]


async def only_tap(component):
    """The message of the one tap that there is."""
    tap = await component.expect_notice("tap")
    await component.settled()
    assert len(component.notices("tap")) == 1
    return message_of(tap)


@pytest.mark.parametrize("kind", ["chat", "normal", None])
async def test_a_delivered_message_is_tapped_with_its_attributes_and_instant(server, client, linked, kind):
    rapport = await linked(server)
    await client(server, "alice@localhost/phone")
    bob = await client(server, "bob@localhost/laptop")
    before = time.time()
    identity = await bob.message("alice@localhost", "hello", type=kind)
    tap = await rapport.expect_notice("tap")
    assert before - 0.01 <= float(tap.get("at")) <= time.time() + 0.01
    assert len(tap.get("at").partition(".")[2]) == 6
    message = message_of(tap)
    # ejabberd writes the default, normal.
    assert {"type": "normal", **message.attrib} == {
        "from": "bob@localhost/laptop",
        "to": "alice@localhost",
        "id": identity,
        "type": kind or "normal",
    }
    assert xml.text(message, "body") == ""


@pytest.mark.parametrize("to", ["alice@localhost", "alice@localhost/phone", "alice@localhost/gone"])
@pytest.mark.parametrize("online", [True, False])
async def test_it_is_tapped_once_whatever_the_address(server, client, linked, to, online):
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/laptop")
    await bob.carbons()
    second = await client(server, "bob@localhost/second")
    await second.carbons()
    if online:
        for resource in ("phone", "desk"):
            alice = await client(server, f"alice@localhost/{resource}")
            await alice.carbons()
    identity = await bob.message(to, "hello")
    message = await only_tap(rapport)
    assert (message.get("id"), message.get("to")) == (identity, to)


async def test_what_was_stored_offline_is_not_tapped_again_when_it_is_fetched(server, client, linked):
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/laptop")
    await bob.message("alice@localhost", "hello")
    await rapport.expect_notice("tap")
    alice = await client(server, "alice@localhost/phone")
    await alice.until(lambda: alice.bodies("bob@localhost"))
    await rapport.nothing(lambda stanza: xml.child(stanza, "tap", xml.LINK) is not None)


@pytest.mark.parametrize(
    "kind, inner",
    [
        ("groupchat", "<body>x</body>"),
        ("headline", "<body>x</body>"),
        ("error", "<body>x</body>"),
        ("chat", "<composing xmlns='http://jabber.org/protocol/chatstates'/>"),
        ("chat", "<body/>"),
        ("chat", "<received xmlns='urn:xmpp:receipts' id='m'/>"),
        ("chat", "<received xmlns='urn:xmpp:chat-markers:0' id='m'/>"),
        ("chat", "<subject>x</subject>"),
        ("normal", "<body xmlns='http://www.w3.org/1999/xhtml'>x</body>"),
    ],
)
async def test_what_is_no_message_of_the_kind_is_not_tapped(server, client, linked, kind, inner):
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/laptop")
    await client(server, "alice@localhost/phone")
    await bob.message("alice@localhost", extra=inner, type=kind)
    await bob.message("alice@localhost/phone", extra=inner, type=kind)
    marker = await bob.message("alice@localhost", "the end")
    message = await only_tap(rapport)
    assert message.get("id") == marker


@pytest.mark.parametrize(
    "inner",
    [
        "<encryption xmlns='urn:xmpp:eme:0' namespace='x'/>",
        "<encrypted xmlns='urn:xmpp:omemo:2'/>",
        "<encrypted xmlns='eu.siacs.conversations.axolotl'/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='m'/>",
        "<body/><body xml:lang='de'>x</body>",
    ],
)
async def test_encrypted_ones_and_displayed_markers_are_tapped(server, client, linked, inner):
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/laptop")
    identity = await bob.message("alice@localhost", extra=inner)
    assert (await only_tap(rapport)).get("id") == identity


async def test_messages_to_oneself_and_to_the_component_are_not_tapped(server, client, linked):
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/laptop")
    other = await client(server, "bob@localhost/phone")
    for to in ("bob@localhost", other.jid, rapport.domain, f"shop@{rapport.domain}"):
        await bob.message(to, "hello")
    await rapport.send(f"<message from='shop@{rapport.domain}' to='bob@localhost' type='chat'><body>hi</body></message>")
    marker = await bob.message("alice@localhost", "the end")
    assert (await only_tap(rapport)).get("id") == marker


async def test_a_message_to_nobody_is_not_tapped(server, client, linked):
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/laptop")
    for to in ("nobody@localhost", "nobody@localhost/phone"):
        identity = await bob.message(to, "hello")
        assert xml.condition(await bob.expect(lambda stanza, identity=identity: stanza.get("id") == identity)) == "service-unavailable"
    await rapport.nothing(lambda stanza: xml.child(stanza, "tap", xml.LINK) is not None)


async def test_a_message_that_offline_storage_refuses_is_not_tapped(make_server, client, linked):
    server = await make_server(without=["archive", "offline"])
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/laptop")
    refused = await bob.message("alice@localhost", "hello")
    assert xml.condition(await bob.expect(lambda stanza: stanza.get("id") == refused)) == "service-unavailable"
    await client(server, "alice@localhost/phone")
    taken = await bob.message("alice@localhost", "hello")
    assert (await only_tap(rapport)).get("id") == taken


async def test_an_archived_message_counts_without_offline_storage(make_server, client, linked):
    server = await make_server(without=["offline"])
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/laptop")
    identity = await bob.message("alice@localhost", "hello")
    assert (await only_tap(rapport)).get("id") == identity
    await bob.nothing(lambda stanza: stanza.get("type") == "error")


@pytest.mark.parametrize("who", ["alice", "bob"])
async def test_a_blocked_message_is_not_tapped(server, client, linked, who):
    rapport = await linked(server)
    alice = await client(server, "alice@localhost/phone")
    bob = await client(server, "bob@localhost/laptop")
    if who == "alice":
        await alice.block("bob@localhost")
    else:
        await bob.block("alice@localhost")
    await bob.message("alice@localhost", "hello")
    await bob.message("alice@localhost/phone", "hello")
    marker = await bob.message("carol@localhost", "the end")
    assert (await only_tap(rapport)).get("id") == marker


async def test_no_text_leaves_the_server(server, client, linked):
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/laptop")
    secret = "s3cret"
    inner = (
        f"<subject>{secret}</subject><thread>{secret}</thread>"
        + ENCRYPTED.format(f"<payload>{secret}</payload>")
        + f"<encryption xmlns='urn:xmpp:eme:0' namespace='n' name='OMEMO'>{secret}</encryption>"
        f"<fallback xmlns='urn:xmpp:fallback:0'>{secret}</fallback>"
        f"<x xmlns='jabber:x:oob'><url>{secret}</url><desc>{secret}</desc></x>"
        f"<file-sharing xmlns='urn:xmpp:sfs:0' disposition='inline'><file>{secret}</file></file-sharing>"
        f"<x xmlns='jabber:x:conference' jid='{secret}@muc.localhost' reason='{secret}'/>"
        f"<reply xmlns='urn:xmpp:reply:0' to='alice@localhost' id='m0'>{secret}</reply>"
        "<replace xmlns='urn:xmpp:message-correct:0' id='m1'/><retract xmlns='urn:xmpp:message-retract:1' id='m2'/>"
        f"<apply-to xmlns='urn:xmpp:fasten:0' id='m3'><retract xmlns='urn:xmpp:message-retract:0'>{secret}</retract><b>{secret}</b></apply-to>"  # noqa: E501
        "<delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/><x xmlns='jabber:x:delay' stamp='20200101T00:00:00'/>"
        "<request xmlns='urn:xmpp:receipts'/><attention xmlns='urn:xmpp:attention:0'/><markable xmlns='urn:xmpp:chat-markers:0'/>"
        "<origin-id xmlns='urn:xmpp:sid:0' id='o1'/>"
        f"<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>{secret}</forwarded></sent>"
        f"<result xmlns='urn:xmpp:mam:2' id='r1'><forwarded xmlns='urn:xmpp:forward:0'>{secret}</forwarded></result>"
        f"<private xmlns='urn:xmpp:carbons:2'/><unknown xmlns='urn:x-unknown'>{secret}</unknown>"
    )
    await bob.message("alice@localhost", secret, extra=inner)
    message = await only_tap(rapport)
    assert secret not in xml.dump(message)
    kept = [(xml.namespace(each), xml.name(each)) for each in message if xml.name(each) != "stanza-id"]
    assert kept == [
        ("jabber:client", "body"),
        ("eu.siacs.conversations.axolotl", "encrypted"),
        ("urn:xmpp:eme:0", "encryption"),
        ("jabber:x:oob", "x"),
        ("urn:xmpp:sfs:0", "file-sharing"),
        ("jabber:x:conference", "x"),
        ("urn:xmpp:reply:0", "reply"),
        ("urn:xmpp:message-correct:0", "replace"),
        ("urn:xmpp:message-retract:1", "retract"),
        ("urn:xmpp:fasten:0", "apply-to"),
        ("urn:xmpp:delay", "delay"),
        ("jabber:x:delay", "x"),
        ("urn:xmpp:receipts", "request"),
        ("urn:xmpp:attention:0", "attention"),
        ("urn:xmpp:chat-markers:0", "markable"),
        ("urn:xmpp:sid:0", "origin-id"),
        ("urn:xmpp:carbons:2", "sent"),
        ("urn:xmpp:mam:2", "result"),
    ]
    by_name = {xml.name(each): each for each in message}
    assert [xml.name(each) for each in by_name["encrypted"]] == ["payload"]
    assert [xml.name(each) for each in by_name["apply-to"]] == ["retract"]
    assert by_name["replace"].get("id") == "m1" and by_name["encryption"].get("name") == "OMEMO"
    assert by_name["delay"].get("stamp") == "2020-01-01T00:00:00Z"


async def test_only_the_stanza_id_of_the_recipients_archive_is_kept(server, client, linked):
    rapport = await linked(server)
    alice = await client(server, "alice@localhost/phone")
    bob = await client(server, "bob@localhost/laptop")
    forged = "".join(
        f"<stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='x'/>" for by in ("alice@localhost", "bob@localhost", "carol@localhost")
    )
    await bob.message("alice@localhost", "hello", extra=forged)
    message = await only_tap(rapport)
    kept = [(each.get("by"), each.get("id")) for each in xml.children(message, "stanza-id")]
    delivered = await alice.expect(lambda stanza: xml.body(stanza) == "hello")
    # Prosody 0.12.3 delivers the forged one too, before its own.
    real = [each.get("id") for each in xml.children(delivered, "stanza-id") if each.get("by") == "alice@localhost"]
    assert kept == [("alice@localhost", real[-1])] and real[-1] != "x"


async def test_between_two_served_hosts_the_recipients_side_taps(make_server, client, component):
    hosts = [Host("localhost", {"alice": [Contact("bob@other.localhost")]}), Host("other.localhost", {"bob": [Contact("alice@localhost")]})]
    server = await make_server(hosts)
    rapport = await component(server)
    await rapport.start(host="localhost")
    await rapport.start(host="other.localhost")
    alice = await client(server, "alice@localhost/phone")
    await alice.message("bob@other.localhost", "hello")
    tap = await rapport.expect_notice("tap", host="other.localhost")
    assert tap.get("n") == "1"
    await rapport.settled()
    assert len(rapport.notices("tap")) == 1


async def test_a_message_to_a_host_that_is_not_served_is_tapped_at_the_senders(make_server, client, linked):
    hosts = [Host(users=friends("alice", "bob")), Host("other.localhost", {"carol": []}, served=False)]
    server = await make_server(hosts)
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/phone")
    carol = await client(server, "carol@other.localhost/phone")
    sent = await bob.message("carol@other.localhost", "hello")
    message = await only_tap(rapport)
    assert message.get("id") == sent
    assert [each.get("by") for each in xml.children(message, "stanza-id")] == ["bob@localhost"]
    back = await carol.message("bob@localhost", "hello")
    assert message_of(await rapport.expect_notice("tap")).get("id") == back


async def federated(make_server, grace=30):
    """Two servers: localhost with alice and bob, served; there.localhost with dora, of which Rapport knows nothing."""
    one = await make_server([Host(users=friends("alice", "bob"))], peers={}, grace=grace)
    peers = {"localhost": one.s2s_port, one.component: one.s2s_port}
    two = await make_server([Host("there.localhost", {"dora": []})], peers=peers, module=False)
    two.component = "unused.localhost"
    await two.restart()
    one.peers = {"there.localhost": two.s2s_port}
    await one.restart()
    return one, two


async def test_a_remote_bounce_of_a_tapped_message_is_told(make_server, client, linked):
    one, _ = await federated(make_server)
    rapport = await linked(one)
    bob = await client(one, "bob@localhost/phone")
    bounced = await bob.message("nobody@there.localhost", "hello")
    assert message_of(await rapport.expect_notice("tap")).get("id") == bounced
    bounce = await rapport.expect_notice("bounce")
    assert (bounce.get("from"), bounce.get("to"), bounce.get("id")) == (bob.jid, "nobody@there.localhost", bounced)
    assert float(bounce.get("at")) and bounce.get("n") == "2"
    # An error for what was never tapped tells nothing.
    await bob.message("nobody@there.localhost", extra="<active xmlns='http://jabber.org/protocol/chatstates'/>", id="state")
    await bob.expect(lambda stanza: stanza.get("id") == "state" and stanza.get("type") == "error")
    await rapport.nothing(lambda stanza: xml.child(stanza, "bounce", xml.LINK) is not None)


async def test_remote_messages_are_tapped_and_wait_like_all(make_server, client, component):
    one, two = await federated(make_server, grace=2)
    dora = await client(two, "dora@there.localhost/phone")
    heard = await dora.message("alice@localhost", "hello")
    waiting = await dora.message("shop@rapport.localhost", "anybody?")
    error = await dora.expect(lambda stanza: stanza.get("id") == waiting, 8)
    assert xml.condition(error) == "recipient-unavailable"
    rapport = await component(one)
    await rapport.start()
    assert ids(rapport) == [heard]
    await dora.message("shop@rapport.localhost", "now?")
    await rapport.expect(lambda stanza: xml.body(stanza) == "now?" and xml.child(stanza, "handed", xml.LINK) is not None)


async def test_a_read_state_is_told_after_it_was_published(server, client, linked):
    rapport = await linked(server)
    alice = await client(server, "alice@localhost/phone")
    before = time.time()
    answer = await alice.iq(
        "set",
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:mds:displayed:0'><item id='bob@localhost'>"
        "<displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' id='s1' by='alice@localhost'/></displayed>"
        "</item></publish></pubsub>",
    )
    assert answer.get("type") == "result"
    read = await rapport.expect_notice("read")
    assert before - 0.01 <= float(read.get("at")) <= time.time() + 0.01
    assert {key: read.get(key) for key in ("n", "user", "contact", "id", "by")} == {
        "n": "1",
        "user": "alice@localhost",
        "contact": "bob@localhost",
        "id": "s1",
        "by": "alice@localhost",
    }


async def test_a_refused_or_other_publication_tells_nothing(server, client, linked):
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/phone")
    item = (
        "<item id='bob@localhost'><displayed xmlns='urn:xmpp:mds:displayed:0'>"
        "<stanza-id xmlns='urn:xmpp:sid:0' id='s1' by='alice@localhost'/></displayed></item>"
    )
    for to, node in (("alice@localhost", "urn:xmpp:mds:displayed:0"), (None, "urn:x-other")):
        await bob.iq("set", f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'>{item}</publish></pubsub>", to)
    await rapport.nothing(lambda stanza: xml.child(stanza, "read", xml.LINK) is not None)
