"""What passes between customer and sub-user, and what does not."""

from xml.etree.ElementTree import Element, fromstring, tostring

import pytest

from component.virtual.ids import KEY_LENGTH, SealedIds
from component.virtual.relay import Disguise, counts, inward, is_passing, languages_of, outward

IDS = SealedIds(bytes(KEY_LENGTH))
USER, CUSTOMER, ADDRESS = "shop@rapport.example.org", "cat@x.org", r"cat\40x.org%shop@rapport.example.org"
ANN = "ann@example.org"
KEPT = """
<subject>about</subject><body>hello</body>
<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><p>hello</p></body></html>
<thread parent='t0'>t1</thread><request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/>
<active xmlns='http://jabber.org/protocol/chatstates'/><x xmlns='jabber:x:oob'><url>https://x.org/f</url></x>
<file-sharing xmlns='urn:xmpp:sfs:0'><sources><url-data xmlns='http://jabber.org/protocol/url-data' target='https://x.org/f'/></sources></file-sharing>
<encrypted xmlns='urn:xmpp:omemo:2'><header sid='27'/><payload>AAAA</payload></encrypted>
<encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:omemo:2'/>
<store xmlns='urn:xmpp:hints'/><attention xmlns='urn:xmpp:attention:0'/><some xmlns='urn:example:unknown' a='1'><thing>x</thing></some>
"""


def message(payload: str, sender: str, recipient: str, more: str = "id='m1' type='chat'") -> Element:
    return fromstring(f"<message xmlns='jabber:component:accept' from='{sender}' to='{recipient}' {more}>{payload}</message>")


def to_ann(payload: str, more: str = "id='m1' type='chat'") -> Element:
    return inward(message(payload, f"{CUSTOMER}/phone", USER, more), ADDRESS, ANN, "Cat", ANN, IDS.open)


def to_cat(payload: str, more: str = "id='ann-1' type='chat'", theirs: frozenset[str] = frozenset(), text: str | None = None) -> Element:
    disguise = Disguise(USER, CUSTOMER, ADDRESS, IDS.seal, theirs)
    return outward(message(payload, f"{ANN}/ann-laptop", ADDRESS, more), disguise, text)


def children(stanza: Element) -> list[bytes]:
    return [tostring(child).strip() for child in stanza]


def test_inward_everything_is_kept_and_the_customer_has_a_nick() -> None:
    stanza = to_ann(KEPT, "id='m1' type='chat' xml:lang='de'")
    original = message(KEPT, CUSTOMER, USER)
    assert children(stanza)[:-1] == children(original)
    assert stanza.findtext("{http://jabber.org/protocol/nick}nick") == "Cat"
    assert stanza.attrib == {
        "from": ADDRESS,
        "to": ANN,
        "id": "m1",
        "type": "chat",
        "{http://www.w3.org/XML/1998/namespace}lang": "de",
    }


def test_outward_everything_is_kept() -> None:
    assert children(to_cat(KEPT)) == children(message(KEPT, ANN, ADDRESS))


@pytest.mark.parametrize(
    "payload",
    [
        "<nick xmlns='http://jabber.org/protocol/nick'>Ann</nick>",
        "<delay xmlns='urn:xmpp:delay' from='ann@example.org' stamp='2026-01-01T00:00:00Z'>Offline at ann@example.org</delay>",
        "<x xmlns='jabber:x:delay' from='ann@example.org' stamp='20260101T00:00:00'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' by='ann@example.org' id='9'/>",
        "<origin-id xmlns='urn:xmpp:sid:0' id='ann-1'/>",
        "<addresses xmlns='http://jabber.org/protocol/address'><address type='replyto' jid='ann@example.org'/></addresses>",
        "<x xmlns='vcard-temp:x:update'><photo>ann</photo></x>",
        "<c xmlns='http://jabber.org/protocol/caps' node='ann' ver='v' hash='sha-1'/>",
        "<x xmlns='jabber:x:signed'>ann</x>",
        "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='ann'/>",
        "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message from='ann@example.org'/></forwarded></sent>",
        "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='x'><item id='ann'/></items></event>",
        "<x xmlns='http://jabber.org/protocol/rosterx'><item jid='ann@example.org' name='Ann'/></x>",
        "<reference xmlns='urn:xmpp:reference:0' type='mention' uri='xmpp:ann@example.org'/>",
        "<reference xmlns='urn:xmpp:reference:0' uri='xmpp:ANN%40example.org?x'/>",
        "<some xmlns='urn:example:unknown'><deep by='Ann@Example.org/ann-laptop'>ann@example.org/ann-laptop, ann@example.org</deep></some>",
        "<reply xmlns='urn:xmpp:reply:0' to='ann@example.org/ann-laptop' id='ann-0'/>",
        "<reactions xmlns='urn:xmpp:reactions:0' id='ann-0'><reaction>x</reaction></reactions>",
        "<replace xmlns='urn:xmpp:message-correct:0' id='ann-0'/>",
        "<retract xmlns='urn:xmpp:message-retract:1' id='ann-0'/>",
        "<apply-to xmlns='urn:xmpp:fasten:0' id='ann-0'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>",
    ],
)
def test_outward_nothing_names_the_sub_user(payload: str) -> None:
    assert b"ann" not in tostring(to_cat(f"<body>hi</body>{payload}")).lower()


def test_a_time_of_sending_stays() -> None:
    stanza = to_cat("<delay xmlns='urn:xmpp:delay' from='ann@example.org' stamp='2026-01-01T00:00:00Z'/>")
    assert children(stanza) == [b'<ns0:delay xmlns:ns0="urn:xmpp:delay" stamp="2026-01-01T00:00:00Z" />']


def test_the_conversation_address_becomes_the_customer_for_the_customer() -> None:
    stanza = to_cat(f"<reply xmlns='urn:xmpp:reply:0' to='{ADDRESS}' id='m1'/>")
    assert stanza[0].attrib == {"to": CUSTOMER, "id": "m1"}


def test_ids_of_the_customer_are_kept_outward() -> None:
    for payload in (
        "<received xmlns='urn:xmpp:receipts' id='m1'/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/>",
        "<reactions xmlns='urn:xmpp:reactions:0' id='m1'/>",
    ):
        assert to_cat(payload, theirs=frozenset({"m1"}))[0].get("id") == "m1"


@pytest.mark.parametrize(
    "payload",
    [
        "<received xmlns='urn:xmpp:receipts' id='{}'/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='{}'/>",
        "<reactions xmlns='urn:xmpp:reactions:0' id='{}'/>",
        "<reply xmlns='urn:xmpp:reply:0' to='shop@rapport.example.org' id='{}'/>",
    ],
)
def test_what_a_customer_says_of_a_sub_users_message_names_it_as_the_sub_user_does(payload: str) -> None:
    seen_by_cat = to_cat("<body>hi</body>", "id='ann-1' type='chat'").get("id")
    assert seen_by_cat is not None
    told = to_ann(payload.format(seen_by_cat))[0]
    assert told.get("id") == "ann-1"
    assert told.get("to") in (None, ANN)


def test_a_reply_to_the_customers_own_message_names_the_conversation_address() -> None:
    assert to_ann("<reply xmlns='urn:xmpp:reply:0' to='cat@x.org/phone' id='m0'/>")[0].attrib == {"to": ADDRESS, "id": "m0"}


def test_a_correction_names_the_message_as_the_customer_knows_it() -> None:
    first = to_cat("<body>helo</body>", "id='ann-1' type='chat'")
    second = to_cat("<body>hello</body><replace xmlns='urn:xmpp:message-correct:0' id='ann-1'/>", "id='ann-2' type='chat'")
    assert second[1].get("id") == first.get("id")


def test_two_slashes_send_one() -> None:
    html = "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>//who</body></html>"
    stanza = to_cat(f"<body>//who</body>{html}<thread>t</thread>", text="/who")
    assert [child.text for child in stanza] == ["/who", "t"]


def test_a_message_without_an_id_gets_one() -> None:
    assert to_cat("<body>hi</body>", "").get("id")
    assert to_ann("<body>hi</body>", "").get("id")


@pytest.mark.parametrize(
    ("payload", "says_something"),
    [
        ("<body>x</body>", True),
        ("<body/>", False),
        ("<active xmlns='http://jabber.org/protocol/chatstates'/>", False),
        ("<received xmlns='urn:xmpp:receipts' id='1'/>", False),
        ("<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'/><payload>A</payload></encrypted>", True),
        ("<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'/></encrypted>", False),
        ("<encryption xmlns='urn:xmpp:eme:0' namespace='x'/>", True),
    ],
)
def test_a_message_counts(payload: str, says_something: bool) -> None:
    assert counts(message(payload, CUSTOMER, USER)) is says_something


def test_a_lone_chat_state_is_of_no_use_later() -> None:
    assert is_passing(message("<active xmlns='http://jabber.org/protocol/chatstates'/><no-store xmlns='urn:xmpp:hints'/>", CUSTOMER, USER))
    assert not is_passing(message("<received xmlns='urn:xmpp:receipts' id='1'/>", CUSTOMER, USER))


@pytest.mark.parametrize(
    ("body", "stanza", "vcard", "languages"),
    [
        ("xml:lang='de-AT'", "xml:lang='en'", {"fr"}, {"de-at"}),
        ("", "xml:lang='en'", {"fr"}, {"fr"}),
        ("", "xml:lang='EN'", set(), {"en"}),
        ("", "", set(), set()),
    ],
)
def test_the_languages_of_a_body_count_before_the_writers_own_and_those_before_the_streams(
    body: str, stanza: str, vcard: set[str], languages: set[str]
) -> None:
    assert languages_of(message(f"<body {body}>x</body>", CUSTOMER, USER, stanza), frozenset(vcard)) == languages
