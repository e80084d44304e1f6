"""Reliable hand-over (docs/link.md, 2)."""

import pytest
from rig import xml
from rig.component import RawComponent, handed
from rig.stream import StreamError


def bodies(component, since=0):
    return [body for each in component.received[since:] if xml.name(each) == "message" and (body := xml.body(each)) is not None]


async def write(client, component, *texts):
    for text in texts:
        await client.message(f"shop@{component}", text)
    await client.ping()


@pytest.mark.parametrize(("kind", "counted"), [("chat", True), ("normal", True), (None, True), ("headline", False)])
async def test_messages_that_may_not_be_lost_are_counted(server, client, linked, kind, counted):
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/phone")
    await bob.message(f"shop@{rapport.domain}", "hello", type=kind)
    got = await rapport.expect(lambda stanza: xml.body(stanza) == "hello")
    assert (handed(got) is not None) is counted
    # ejabberd leaves out the default, normal.
    assert got.get("from") == "bob@localhost/phone" and got.get("type", "normal") == (kind or "normal")


@pytest.mark.parametrize("kind", ["subscribe", "subscribed", "unsubscribe", "unsubscribed"])
async def test_subscription_stanzas_are_counted(server, client, linked, kind):
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/phone")
    if kind == "unsubscribed":
        await bob.send(f"<presence to='shop@{rapport.domain}' type='subscribed'/>")
        await rapport.send(f"<presence from='shop@{rapport.domain}' to='bob@localhost' type='subscribe'/>")
        await rapport.expect(lambda stanza: stanza.get("type") == "subscribed")
    if kind == "subscribed":
        await rapport.send(f"<presence from='shop@{rapport.domain}' to='bob@localhost' type='subscribe'/>")
        await bob.expect(lambda stanza: stanza.get("type") == "subscribe")
    await bob.send(f"<presence to='shop@{rapport.domain}' type='{kind}'/>")
    assert handed(await rapport.expect(lambda stanza: xml.name(stanza) == "presence" and stanza.get("type") == kind))


async def test_other_presence_and_requests_pass_uncounted(server, client, linked):
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/phone")
    await bob.send(f"<presence to='shop@{rapport.domain}'/>")
    got = await rapport.expect(lambda stanza: xml.name(stanza) == "presence" and stanza.get("to") == f"shop@{rapport.domain}")
    assert handed(got) is None
    assert (await bob.ping(rapport.domain)).get("type") == "result"


async def test_numbers_are_consecutive_over_taps_and_stanzas(server, client, linked):
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/phone")
    await bob.message("alice@localhost", "one")
    await bob.message(rapport.domain, "two")
    await bob.message("alice@localhost", "three")
    first = await rapport.expect_notice("tap")
    second = await rapport.expect(lambda stanza: xml.body(stanza) == "two")
    third = await rapport.expect_notice("tap")
    assert [int(first.get("n")), handed(second), int(third.get("n"))] == [1, 2, 3]


async def test_what_is_not_acknowledged_comes_again_in_order_with_the_same_numbers(server, client, linked, component):
    rapport = await linked(server)
    epoch = (await rapport.hello()).get("epoch")
    bob = await client(server, "bob@localhost/phone")
    await write(bob, rapport.domain, "one", "two", "three")
    await rapport.expect(lambda stanza: xml.body(stanza) == "three")
    await rapport.ack(1)
    await rapport.settled()
    await rapport.cut()
    await write(bob, rapport.domain, "four")

    again = await component(server)
    await again.settled()
    assert bodies(again) == []
    assert (await again.hello(epoch=epoch, h=1)).get("epoch") == epoch
    await again.expect(lambda stanza: xml.body(stanza) == "four")
    assert [(handed(each), xml.body(each)) for each in again.received if xml.body(each)] == [(2, "two"), (3, "three"), (4, "four")]


@pytest.mark.parametrize(
    ("epoch", "h", "expected"), [("own", 2, ["three"]), ("other", 2, ["one", "two", "three"]), (None, None, ["one", "two", "three"])]
)
async def test_hello_names_what_is_stored_of_which_epoch(server, client, linked, component, epoch, h, expected):
    rapport = await linked(server)
    own = (await rapport.hello()).get("epoch")
    bob = await client(server, "bob@localhost/phone")
    await write(bob, rapport.domain, "one", "two", "three")
    await rapport.cut()
    again = await component(server)
    await again.hello(epoch=own if epoch == "own" else epoch, h=h)
    await again.expect(lambda stanza: xml.body(stanza) == expected[-1])
    await again.settled()
    assert bodies(again) == expected


async def test_a_second_hello_starts_over(server, client, linked):
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/phone")
    await write(bob, rapport.domain, "one")
    await rapport.expect(lambda stanza: xml.body(stanza) == "one")
    before = rapport.mark()
    await rapport.hello()
    await rapport.until(lambda: bodies(rapport, before))
    await rapport.settled()
    assert bodies(rapport) == ["one", "one"]


async def test_a_stanza_waits_while_the_component_is_away(server, client, linked, component):
    rapport = await linked(server)
    await rapport.cut()
    bob = await client(server, "bob@localhost/phone")
    await bob.send(f"<presence to='shop@{rapport.domain}'/>")
    await write(bob, rapport.domain, "one")
    await bob.send(f"<iq type='get' id='q1' to='{rapport.domain}'><query xmlns='urn:nope'/></iq>")
    await bob.ping()
    again = await component(server)
    await again.hello()
    await again.expect(lambda stanza: xml.name(stanza) == "iq" and stanza.get("id") == "q1")
    names = [xml.name(each) for each in again.received if each.get("from") == bob.jid]
    assert names == ["presence", "message", "iq"]
    await again.hello()
    await again.settled()
    assert len([each for each in again.received if each.get("id") == "q1"]) == 1
    await bob.nothing(lambda stanza: stanza.get("type") == "error")


async def test_past_the_grace_it_bounces_and_so_does_what_comes_then(make_server, client, linked, component):
    server = await make_server(grace=1)
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/phone")
    await rapport.cut()
    waiting = await bob.message(f"shop@{rapport.domain}", "one")
    error = await bob.expect(lambda stanza: stanza.get("id") == waiting, 4)
    assert (error.get("type"), xml.condition(error), xml.child(error, "error").get("type")) == ("error", "recipient-unavailable", "wait")
    later = await bob.message(f"shop@{rapport.domain}", "two")
    assert xml.condition(await bob.expect(lambda stanza: stanza.get("id") == later, 0.5)) == "recipient-unavailable"
    asked = await bob.iq("get", "<query xmlns='urn:nope'/>", rapport.domain)
    assert xml.condition(asked) == "recipient-unavailable"

    again = await component(server)
    await again.start()
    await write(bob, rapport.domain, "three")
    await again.settled()
    assert bodies(again) == ["three"]


async def test_taps_stay_when_the_grace_is_over(make_server, client, linked, component):
    server = await make_server(grace=1)
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/phone")
    await rapport.cut()
    await bob.message("alice@localhost", "kept")
    bounced = await bob.message(rapport.domain, "bounced")
    await bob.expect(lambda stanza: stanza.get("id") == bounced, 4)
    again = await component(server)
    await again.start()
    assert [each.get("n") for each in again.notices("tap")] == ["1"]


async def test_a_full_buffer_bounces_stanzas_and_drops_and_counts_taps(make_server, client, linked, component):
    server = await make_server(buffer=2)
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/phone")
    await write(bob, rapport.domain, "one", "two")
    refused = await bob.message(rapport.domain, "three")
    assert xml.condition(await bob.expect(lambda stanza: stanza.get("id") == refused)) == "recipient-unavailable"
    await bob.message("alice@localhost", "untapped")
    await bob.ping()
    assert (await rapport.hello()).get("dropped") == "1"
    await rapport.ack(2)
    await rapport.settled()
    await write(bob, rapport.domain, "four")
    got = await rapport.expect(lambda stanza: xml.body(stanza) == "four")
    assert handed(got) == 3


async def test_a_component_that_acknowledges_nothing_is_stalled(make_server, client, linked):
    server = await make_server(grace=1)
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/phone")
    waiting = await bob.message(rapport.domain, "one")
    got = await rapport.expect(lambda stanza: xml.body(stanza) == "one")
    assert xml.condition(await bob.expect(lambda stanza: stanza.get("id") == waiting, 4)) == "recipient-unavailable"
    await rapport.ack(handed(got))
    await rapport.expect_notice("renew")
    await rapport.start()
    await write(bob, rapport.domain, "two")
    await rapport.expect(lambda stanza: xml.body(stanza) == "two")


async def test_a_component_with_nothing_to_acknowledge_is_not_stalled(make_server, client, linked):
    server = await make_server(grace=1)
    rapport = await linked(server)
    await rapport.nothing(lambda stanza: xml.name(stanza) == "message", during=1.5)
    assert server.log_lines("acknowledge(s|d) nothing") == []


async def test_the_same_once_id_is_delivered_once(server, client, linked, component):
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/phone")
    stanza = (
        f"<message from='shop@{rapport.domain}' to='bob@localhost' type='chat'><body>hi</body><once xmlns='{xml.LINK}' id='a'/></message>"
    )
    await rapport.send(stanza)
    await rapport.send(stanza)
    await rapport.settled()
    await server.reload_module()
    await rapport.send(stanza)
    await rapport.send(stanza.replace("id='a'", "id='b'"))
    await rapport.settled()
    await bob.ping()
    assert bob.bodies(f"shop@{rapport.domain}") == ["hi", "hi"]
    assert not any(xml.child(each, "once", xml.LINK) is not None for each in bob.received)


async def test_an_orderly_restart_forgets_no_once_id(server, client, linked):
    rapport = await linked(server)
    await client(server, "bob@localhost/phone")
    stanza = (
        f"<message from='shop@{rapport.domain}' to='bob@localhost' type='chat'><body>hi</body><once xmlns='{xml.LINK}' id='ID'/></message>"
    )
    await rapport.send(stanza.replace("ID", "a"))
    await rapport.settled()
    await server.restart()
    again = await linked(server)
    bob = await client(server, "bob@localhost/phone")
    await again.send(stanza.replace("ID", "a"))
    await again.send(stanza.replace("ID", "b"))
    await again.settled()
    await bob.ping()
    assert bob.bodies(f"shop@{rapport.domain}") == ["hi"]


async def test_an_orderly_restart_forgets_nothing_that_waits(server, client, linked, component):
    rapport = await linked(server)
    epoch = (await rapport.hello()).get("epoch")
    bob = await client(server, "bob@localhost/phone")
    await write(bob, rapport.domain, "one", "two")
    await rapport.expect(lambda stanza: xml.body(stanza) == "two")
    await rapport.ack(1)
    await rapport.settled()
    await rapport.cut()
    await write(bob, rapport.domain, "three")
    await bob.message("alice@localhost", "four")
    await bob.ping()
    for _ in range(2):
        await server.restart()

    again = await component(server)
    assert (await again.hello(epoch=epoch, h=1)).get("epoch") == epoch
    tap = await again.expect_notice("tap")
    assert [(handed(each), xml.body(each)) for each in again.received if xml.body(each)] == [(2, "two"), (3, "three")]
    assert tap.get("n") == "4"
    bob = await client(server, "bob@localhost/phone")
    await write(bob, rapport.domain, "five")
    assert handed(await again.expect(lambda stanza: xml.body(stanza) == "five")) == 5


async def test_what_waited_over_a_restart_bounces_when_the_grace_is_over(make_server, client, linked):
    server = await make_server(grace=2)
    rapport = await linked(server)
    await rapport.cut()
    bob = await client(server, "bob@localhost/phone")
    await write(bob, rapport.domain, "one")
    await server.restart()
    bob = await client(server, "bob@localhost/phone")
    error = await bob.expect(lambda stanza: stanza.get("type") == "error", within=10)
    assert xml.condition(error) == "recipient-unavailable"
    assert error.get("from") == f"shop@{rapport.domain}"


async def test_a_server_that_was_killed_begins_anew(server, client, linked, component):
    rapport = await linked(server)
    epoch = (await rapport.hello()).get("epoch")
    await server.restart()
    await server.kill()
    await server.start()
    again = await component(server)
    assert (await again.hello(epoch=epoch, h=0)).get("epoch") != epoch


@pytest.mark.only_on("prosody", reason="ejabberd takes a second component of one name; its hello is refused instead")
async def test_a_second_connection_that_is_refused_disturbs_nothing(server, client, linked):
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/phone")
    with pytest.raises(StreamError, match="conflict"):
        await RawComponent(server).connect()
    with pytest.raises(StreamError, match="not-authorized"):
        await RawComponent(server).connect("wrong")
    await write(bob, rapport.domain, "one")
    await bob.message("alice@localhost", "two")
    await rapport.expect(lambda stanza: xml.body(stanza) == "one")
    await rapport.expect_notice("tap")
    await bob.presence("away")
    await rapport.expect_notice("session", where=lambda session: session.get("jid") == bob.jid)


@pytest.mark.only_on("prosody", reason="only Prosody has modules of a component")
async def test_requests_reach_the_component_though_a_module_there_would_answer(make_server, client, linked):
    server = await make_server(component_extra='modules_enabled = { "rapport", "ping", "disco", "version" }')
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/phone")
    for to in (rapport.domain, f"shop@{rapport.domain}", f"shop@{rapport.domain}/x"):
        await bob.send(f"<iq type='get' id='v1' to='{to}'><query xmlns='jabber:iq:version'/></iq>")
        got = await rapport.expect(lambda stanza: xml.name(stanza) == "iq" and xml.child(stanza, "query", "jabber:iq:version") is not None)
        assert got.get("to") == to
    await bob.nothing(lambda stanza: stanza.get("id") == "v1")
