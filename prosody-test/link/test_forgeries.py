"""Link elements from any other address (docs/link.md, head)."""

import pytest
from rig import xml
from rig.component import link_element

HELLO = link_element("<hello version='0'/>")
GATE = link_element("<gate on='1'><user name='alice'/></gate>")
HANDED = link_element("<handed n='7'/>")


async def test_a_users_link_elements_to_the_host_are_dropped_and_logged(prosody, client, linked):
    rapport = await linked(prosody)
    mallory = await client(prosody, "carol@localhost/x")
    for _ in range(3):
        await mallory.send(f"<message to='localhost'>{GATE}</message>")
    await mallory.send(f"<iq type='get' id='f1' to='localhost'>{link_element('''<roster user='alice'/>''')}</iq>")
    await mallory.nothing(lambda stanza: stanza.get("from") == "localhost" and stanza.get("id") != "" and stanza.get("type") == "error")
    await rapport.nothing(lambda stanza: xml.child(stanza, "refused", xml.LINK) is not None)
    assert len(prosody.log_lines("link.forged sender=carol@localhost count=1")) == 1
    assert len(prosody.log_lines("link.forged")) == 1
    bob = await client(prosody, "bob@localhost/x")
    await client(prosody, "alice@localhost/x")
    await bob.sees("alice@localhost", "online")


async def test_link_elements_to_the_component_are_stripped(prosody, client, linked):
    rapport = await linked(prosody)
    mallory = await client(prosody, "carol@localhost/x")
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
    assert prosody.log_lines("link.forged sender=carol@localhost")


@pytest.mark.parametrize("from_", ["shop@rapport.localhost", "rapport.localhost/x"])
async def test_other_addresses_of_the_component_may_not_speak_the_link(prosody, linked, from_):
    rapport = await linked(prosody)
    start = rapport.mark()
    await rapport.send(f"<message from='{from_}' to='localhost'>{HELLO}</message>")
    await rapport.send(f"<iq type='get' id='f1' from='{from_}' to='localhost'>{link_element('''<roster user='alice'/>''')}</iq>")
    await rapport.settled()
    assert rapport.notices("", start) == []
    assert not [each for each in rapport.received[start:] if each.get("id") == "f1"]
    assert prosody.log_lines("link.forged sender=")


async def test_another_component_may_not_speak_the_link(make_prosody, client, linked, component):
    extra = 'Component "evil.localhost"\ncomponent_secret = "s3cret-of-the-rig"'
    prosody = await make_prosody(component_extra=extra)
    rapport = await linked(prosody)
    evil = await component(prosody, "evil.localhost")
    await evil.send(f"<message from='evil.localhost' to='localhost'>{GATE}</message>")
    await evil.send(f"<message from='evil.localhost' to='{rapport.domain}'>{link_element('<renew/>')}</message>")
    await evil.settled()
    await rapport.nothing(lambda stanza: xml.sender(stanza) == "evil.localhost")
    bob = await client(prosody, "bob@localhost/x")
    await client(prosody, "alice@localhost/x")
    await bob.sees("alice@localhost", "online")
    assert evil.notices() == []


async def test_an_error_in_answer_to_a_notice_is_not_answered(prosody, client, linked):
    rapport = await linked(prosody)
    start = rapport.mark()
    await rapport.send(
        f"<message from='{rapport.domain}' to='localhost' type='error'>{link_element('<tap/>')}<error type='cancel'/></message>"
    )
    await rapport.settled()
    assert [each for each in rapport.received[start:] if xml.name(each) == "message"] == []
