"""Link elements from any other address (docs/link.md, head)."""

import pytest
from rig import xml
from rig.component import link_element
from rig.wait import until

HELLO = link_element("<hello version='0'/>")
GATE = link_element("<gate on='1'><user name='alice'/></gate>")
HANDED = link_element("<handed n='7'/>")


async def test_a_users_link_elements_to_the_host_are_dropped_and_logged(server, client, linked):
    rapport = await linked(server)
    mallory = await client(server, "carol@localhost/x")
    for _ in range(3):
        await mallory.send(f"<message to='localhost'>{GATE}</message>")
    await mallory.send(f"<iq type='get' id='f1' to='localhost'>{link_element('''<roster user='alice'/>''')}</iq>")
    await mallory.nothing(lambda stanza: stanza.get("from") == "localhost" and stanza.get("id") != "" and stanza.get("type") == "error")
    await rapport.nothing(lambda stanza: xml.child(stanza, "refused", xml.LINK) is not None)
    await until(lambda: server.log_lines("link.forged sender=carol@localhost count=1"), what="the line in the log")
    assert len(server.log_lines("link.forged")) == 1
    bob = await client(server, "bob@localhost/x")
    await client(server, "alice@localhost/x")
    await bob.sees("alice@localhost", "online")


async def test_link_elements_to_the_component_are_stripped(server, client, linked):
    rapport = await linked(server)
    mallory = await client(server, "carol@localhost/x")
    tap = link_element("<tap n='1' at='1.0'><message xmlns='jabber:client' from='bob@localhost' to='alice@localhost'/></tap>")
    await mallory.send(f"<message to='{rapport.domain}'>{tap}</message>")
    await mallory.send(f"<message to='{rapport.domain}' type='chat'><body>one</body>{HANDED}{tap}</message>")
    await mallory.send(f"<message to='{rapport.domain}' type='headline'><body>two</body>{HANDED}</message>")
    await mallory.send(f"<presence to='shop@{rapport.domain}'><show>away</show>{HANDED}</presence>")
    await mallory.send(f"<iq type='get' id='f1' to='{rapport.domain}'>{link_element('''<roster user='alice'/>''')}</iq>")
    await mallory.send(f"<iq type='result' id='f2' to='{rapport.domain}'>{link_element('''<roster user='alice'/>''')}</iq>")
    await mallory.ping(rapport.domain)
    got = [each for each in rapport.received if xml.sender(each) == "carol@localhost" and xml.child(each, "ping") is None]
    assert [(xml.name(each), xml.body(each)) for each in got] == [("message", "one"), ("message", "two"), ("presence", None)]
    inside = [[xml.dump(link) for link in each if xml.namespace(link) == xml.LINK] for each in got]
    assert len(inside[0]) == 1 and 'n="1"' in inside[0][0] and inside[1:] == [[], []]
    await until(lambda: server.log_lines("link.forged sender=carol@localhost"), what="the line in the log")


@pytest.mark.parametrize("from_", ["shop@rapport.localhost", "rapport.localhost/x"])
async def test_other_addresses_of_the_component_may_not_speak_the_link(server, linked, from_):
    rapport = await linked(server)
    start = rapport.mark()
    await rapport.send(f"<message from='{from_}' to='localhost'>{HELLO}</message>")
    await rapport.send(f"<iq type='get' id='f1' from='{from_}' to='localhost'>{link_element('''<roster user='alice'/>''')}</iq>")
    await rapport.settled()
    assert rapport.notices("", start) == []
    assert not [each for each in rapport.received[start:] if each.get("id") == "f1"]
    await until(lambda: server.log_lines("link.forged sender="), what="the line in the log")


async def test_another_component_may_not_speak_the_link(make_server, client, linked, component):
    server = await make_server(others=["evil.localhost"])
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/x")
    evil = await component(server, "evil.localhost")
    await evil.send(f"<message from='evil.localhost' to='localhost'>{GATE}</message>")
    await evil.send(f"<message from='evil.localhost' to='{rapport.domain}'>{link_element('<renew/>')}</message>")
    # Not by an answer to it: ejabberd balances between the components of one listener what is for either.
    await evil.send("<message from='evil.localhost' to='bob@localhost' type='chat'><body>done</body></message>")
    await bob.until(lambda: bob.bodies("evil.localhost") == ["done"])
    await rapport.nothing(lambda stanza: xml.sender(stanza) == "evil.localhost")
    await client(server, "alice@localhost/x")
    await bob.sees("alice@localhost", "online")
    assert evil.notices() == []


async def test_an_error_in_answer_to_a_notice_is_not_answered(server, client, linked):
    rapport = await linked(server)
    start = rapport.mark()
    await rapport.send(
        f"<message from='{rapport.domain}' to='localhost' type='error'>{link_element('<tap/>')}<error type='cancel'/></message>"
    )
    await rapport.settled()
    assert [each for each in rapport.received[start:] if xml.name(each) == "message"] == []
