"""Nothing of a sub-user reaches the customer (spec/20-virtual.md): every byte that the customer gets is searched."""

from collections.abc import Awaitable, Callable

from rig import xml
from rig.shop import SHOP, Shop

Open = Callable[..., Awaitable[Shop]]
WHO = "zoelinde@localhost"
NAME = "Zoelinde Zimmermann"
RESOURCE = "zphone-77"
SECRETS = ("zoelinde", "zimmermann", "zphone-77", "zident-")
"""Long enough to stand in no random id by chance."""
PAYLOADS = [
    "<body>hello</body><html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><p>hello</p></body></html>",
    "<body>in a thread</body><thread parent='t0'>t1</thread>",
    "<body>receipt please</body><request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/>",
    "<received xmlns='urn:xmpp:receipts' id='{theirs}'/>",
    "<displayed xmlns='urn:xmpp:chat-markers:0' id='{theirs}'/>",
    "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
    "<body>corrected</body><replace xmlns='urn:xmpp:message-correct:0' id='zident-1'/>",
    "<body>a reply</body><reply xmlns='urn:xmpp:reply:0' to='{address}' id='{theirs}'/>",
    "<body>a reply to myself</body><reply xmlns='urn:xmpp:reply:0' to='{who}/{resource}' id='zident-1'/>",
    "<reactions xmlns='urn:xmpp:reactions:0' id='{theirs}'><reaction>x</reaction></reactions>",
    "<reactions xmlns='urn:xmpp:reactions:0' id='zident-1'><reaction>x</reaction></reactions>",
    "<retract xmlns='urn:xmpp:message-retract:1' id='zident-1'/><body>retracted</body>",
    "<apply-to xmlns='urn:xmpp:fasten:0' id='zident-1'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to><body>old way</body>",
    "<body>https://x.org/f</body><x xmlns='jabber:x:oob'><url>https://x.org/f</url></x>",
    "<body>file</body><file-sharing xmlns='urn:xmpp:sfs:0'><sources><url-data xmlns='http://jabber.org/protocol/url-data' "
    "target='https://x.org/f'/></sources></file-sharing>",
    "<body>omemo</body><encrypted xmlns='urn:xmpp:omemo:2'><header sid='27'/><payload>AAAA</payload></encrypted>"
    "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:omemo:2' name='OMEMO'/>",
    "<body>with a nick</body><nick xmlns='http://jabber.org/protocol/nick'>{name}</nick>",
    "<body>with ids</body><origin-id xmlns='urn:xmpp:sid:0' id='zident-9'/><stanza-id xmlns='urn:xmpp:sid:0' by='{who}' id='zident-10'/>",
    "<body>late</body><delay xmlns='urn:xmpp:delay' from='{who}/{resource}' stamp='2026-01-01T00:00:00Z'/>",
    "<body>mention</body><reference xmlns='urn:xmpp:reference:0' type='mention' uri='xmpp:{who}'/>",
    "<body>addresses</body><addresses xmlns='http://jabber.org/protocol/address'><address type='ofrom' jid='{who}'/></addresses>",
    "<body>unknown</body><thing xmlns='urn:example:thing' by='{who}/{resource}'>made by {who}</thing>",
    "<body>//close</body>",
    "<subject>about</subject><body>with a subject</body>",
]


async def test_no_byte_names_the_sub_user(shop: Open) -> None:
    scene = await shop("zoelinde", "ben", also=["zoelinde"])
    zoe = await scene.enter(f"zoelinde/{RESOURCE}")
    await zoe.iq("set", f"<vCard xmlns='vcard-temp'><FN>{NAME}</FN><NICKNAME>Zoelinde</NICKNAME></vCard>")
    cat = await scene.enter("cat")
    await cat.presence(type="subscribe", to=SHOP)
    theirs = await scene.says("cat", "hello")
    await zoe.until(lambda: zoe.bodies(scene.of("cat")) == ["hello"] or None, what="zoe has it")
    start = cat.mark()
    for number, payload in enumerate(PAYLOADS):
        filled = payload.format(theirs=theirs, address=scene.of("cat"), who=WHO, resource=RESOURCE, name=NAME)
        await zoe.message(scene.of("cat"), extra=filled, id=f"zident-{number}")
    await zoe.settled()
    await cat.settled()
    # What the sub-user's side says by itself: errors, presence, profile.
    refused = await scene.says("cat", "zoe will refuse this")
    await zoe.expect(lambda each: each.get("id") == refused)
    error = f"<error type='cancel' by='{{who}}'><service-unavailable xmlns='{xml.STANZAS}'/><text>{{name}} is away</text></error>"
    await zoe.send(f"<message to='{scene.of('cat')}' type='error' id='{refused}'>{error.format(who=WHO, name=NAME)}</message>")
    await zoe.presence("dnd", f"{NAME} is busy")
    await zoe.settled()
    for question in ("<vCard xmlns='vcard-temp'/>", f"<query xmlns='{xml.DISCO_INFO}'/>", "<query xmlns='jabber:iq:version'/>"):
        await cat.iq("get", question, SHOP)
    await scene.enter("ben")
    await scene.answers("ben", "cat", "mine")
    await scene.hears("cat", "mine")
    await cat.settled()
    got = [each for each in cat.received[start:] if xml.sender(each).endswith("rapport.localhost")]
    assert len([each for each in got if xml.name(each) == "message"]) >= len(PAYLOADS)
    for each in got:
        own = xml.dump(each).lower().replace("zoe will refuse this", "")
        assert not any(secret in own for secret in SECRETS), own


async def test_payload_of_the_customer_is_kept(shop: Open) -> None:
    scene = await shop("ann")
    await scene.enter("ann", "cat")
    await scene.says("cat", "first")
    await scene.gets("ann", "cat", "first")
    for number, payload in enumerate(PAYLOADS[:16]):
        filled = payload.format(theirs="x", address=SHOP, who="cat@localhost", resource="phone", name="Cat")
        await scene["cat"].message(SHOP, extra=filled, id=f"c{number}")
    await scene.settled("cat", "ann")
    for number, payload in enumerate(PAYLOADS[:16]):
        got = await scene["ann"].expect(lambda each, number=number: each.get("id") == f"c{number}")
        wanted = xml.ET.fromstring(
            f"<m xmlns='jabber:client'>{payload.format(theirs='x', address=SHOP, who='cat@localhost', resource='phone', name='Cat')}</m>"
        )
        kept = {child.tag: child for child in got}
        for child in wanted:
            assert child.tag in kept, (child.tag, xml.dump(got))
            if xml.name(child) != "reply":
                assert xml.ET.canonicalize(xml.dump(kept[child.tag])) == xml.ET.canonicalize(xml.dump(child))
