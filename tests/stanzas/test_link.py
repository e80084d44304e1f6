"""The link's elements as values: what is built is what docs/link.md shows, and reads back the same."""

import re
from xml.etree.ElementTree import Element, fromstring, tostring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stanzas import link

ALICE = "alice@example.org"
PHONE = "alice@example.org/phone"
BOB = "bob@example.net"
MESSAGE = "<message xmlns='jabber:client' from='bob@example.net' to='alice@example.org' id='m1' type='chat'><body/></message>"
PRESENCE = "<presence xmlns='jabber:client' from='alice@example.org/phone'><show>away</show></presence>"


def xml(text: str) -> Element:
    """An element of the link's namespace, written as in docs/link.md."""
    name = text[1:].split(" ")[0].rstrip("/>")
    return fromstring(text.replace(f"<{name}", f"<{name} xmlns='urn:x-rapport:link:0'", 1))


def same(one: Element, other: Element) -> bool:
    return (
        one.tag == other.tag
        and one.attrib == other.attrib
        and (one.text or "") == (other.text or "")
        and len(one) == len(other)
        and all(map(same, one, other))
    )


NOTICES = [
    ("<hello version='0'/>", link.Hello()),
    ("<hello version='0' epoch='E' h='41'/>", link.Hello("0", "E", 41)),
    (
        "<hello version='0' epoch='E' server='Prosody 0.12.3' grace='30' buffer='10000' dropped='0'/>",
        link.ModuleHello("0", "E", "Prosody 0.12.3", 30.0, 10000, 0),
    ),
    ("<refused version='0' asked='7'/>", link.Refused("0", "7")),
    ("<refused name='show' reason='no jid'/>", link.Refused(name="show", reason="no jid")),
    ("<gate on='1'><user name='alice'/><user name='carol'/></gate>", link.Gate(True, ("alice", "carol"))),
    ("<gate on='0'/>", link.Gate(False, ())),
    ("<ready/>", link.Ready()),
    ("<renew/>", link.Renew()),
    ("<ack h='12'/>", link.Ack(12)),
    (
        "<show jid='alice@example.org/phone' v='3' as='dnd' key='K'><status>Busy</status><status xml:lang='de'/>"
        "<to jid='bob@example.net'/></show>",
        link.Show(PHONE, 3, "dnd", "K", (BOB,), (("", "Busy"), ("de", ""))),
    ),
    (f"<session jid='{PHONE}' v='3' truth='1'>{PRESENCE}</session>", link.SessionNotice(PHONE, 3, truth=True)),
    (f"<session jid='{PHONE}' v='3' truth='0' shown='1'>{PRESENCE}</session>", link.SessionNotice(PHONE, 3, shown={})),
    (
        f"<session jid='{PHONE}' v='3' truth='0' shown='1'>{PRESENCE}<shown key='K'><to jid='b@x'/><to jid='c@x'/></shown>"
        "<shown key='L'><to jid='d@x'/></shown></session>",
        link.SessionNotice(PHONE, 3, shown={"b@x": "K", "c@x": "K", "d@x": "L"}),
    ),
    (f"<session jid='{PHONE}' v='4' gone='1'/>", link.SessionNotice(PHONE, 4, gone=True)),
    (f"<probe from='bob@example.net/r' to='{ALICE}'/>", link.Probe("bob@example.net/r", ALICE)),
    (f"<tap n='1' at='1764040000.123456'>{MESSAGE}</tap>", link.Tap(1, 1764040000.123456, fromstring(MESSAGE))),
    (
        f"<tap n='1' at='1764040000.123456'>{MESSAGE}<member jid='{ALICE}' nick='Al'/><member jid='{BOB}'/></tap>",
        link.Tap(1, 1764040000.123456, fromstring(MESSAGE), (link.Member(ALICE, "Al"), link.Member(BOB))),
    ),
    (
        f"<read n='2' at='1764040000.000000' user='{ALICE}' contact='{BOB}' id='a1' by='{ALICE}'/>",
        link.ReadState(2, 1764040000.0, ALICE, BOB, "a1", ALICE),
    ),
    (f"<bounce n='3' at='0.500000' from='{ALICE}' to='{BOB}' id='m1'/>", link.Bounce(3, 0.5, ALICE, BOB, "m1")),
    (f"<bounce n='3' at='0.500000' from='{ALICE}' to='{BOB}'/>", link.Bounce(3, 0.5, ALICE, BOB)),
    ("<changed n='4' user='alice' what='roster'/>", link.Changed(4, "alice", "roster")),
]
REQUESTS = [
    ("<roster user='alice'/>", link.RosterRequest("alice")),
    ("<blocks user='alice'/>", link.BlocksRequest("alice")),
    ("<history user='alice' max='100'/>", link.HistoryRequest("alice", None, 100)),
    ("<history user='alice' after='ID' max='100'/>", link.HistoryRequest("alice", "ID", 100)),
]
RESULTS = [
    ("<roster user='alice'/>", link.RosterResult("alice", ())),
    (
        "<roster user='alice'><item jid='bob@x' name='Bob' subscription='both'><group>Friends</group></item>"
        "<item jid='room@muc.x/🙌' subscription='none'/></roster>",
        link.RosterResult("alice", (link.RosterItem("bob@x", "both", "Bob", ("Friends",)), link.RosterItem("room@muc.x/🙌", "none"))),
    ),
    ("<blocks user='alice'><item jid='x.org'/></blocks>", link.BlocksResult("alice", ("x.org",))),
    ("<history user='alice' complete='1'/>", link.HistoryResult("alice", (), True)),
    (
        f"<history user='alice' last='a2' count='7'><tap id='a1' at='1.000000'>{MESSAGE}</tap></history>",
        link.HistoryResult("alice", (link.Archived("a1", 1.0, fromstring(MESSAGE)),), False, "a2", 7),
    ),
]


@pytest.mark.parametrize(("text", "value"), NOTICES)
def test_a_notice_is_read_as_its_value(text: str, value: link.Notice) -> None:
    assert link.parse_notice(xml(text)) == value


@pytest.mark.parametrize(("text", "value"), REQUESTS)
def test_a_request_is_read_as_its_value(text: str, value: link.Request) -> None:
    assert link.parse_request(xml(text)) == value


@pytest.mark.parametrize(("text", "value"), RESULTS)
def test_a_result_is_read_as_its_value(text: str, value: link.Result) -> None:
    assert link.parse_result(xml(text)) == value


@pytest.mark.parametrize("text", [text for text, _ in NOTICES])
def test_a_notice_is_built_as_it_was_read(text: str) -> None:
    assert same(link.parse_notice(xml(text)).element(), xml(text))


@pytest.mark.parametrize("text", [text for text, _ in REQUESTS])
def test_a_request_is_built_as_it_was_read(text: str) -> None:
    assert same(link.parse_request(xml(text)).element(), xml(text))


@pytest.mark.parametrize("text", [text for text, _ in RESULTS])
def test_a_result_is_built_as_it_was_read(text: str) -> None:
    assert same(link.parse_result(xml(text)).element(), xml(text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<hello/>", "hello: no version"),
        ("<hello version='0' server='S' grace='soon' buffer='1' dropped='0' epoch='E'/>", "hello: grace is no number of seconds: 'soon'"),
        ("<refused/>", "refused: neither version nor name"),
        ("<gate on='yes'/>", "gate: on is neither 0 nor 1: 'yes'"),
        ("<gate/>", "gate: on is neither 0 nor 1: None"),
        ("<gate on='1'><user/></gate>", "user: no name"),
        ("<ack h='-1'/>", "ack: h is no whole number: '-1'"),
        ("<ack h='1_0'/>", "ack: h is no whole number: '1_0'"),
        ("<ack h='٣'/>", "ack: h is no whole number: '٣'"),
        ("<show jid='a@b/c' v='1' as='busy' key='K'/>", "show: as is none of own, chat, online, away, xa, dnd, offline: 'busy'"),
        ("<session jid='a@b/c' v='1' truth='1'/>", "session: no presence"),
        ("<tap n='1' at='1.0'/>", "tap: no message"),
        (f"<tap n='1' at='nan'>{MESSAGE}</tap>", "tap: at is no number of seconds: 'nan'"),
        (f"<tap n='1' at='1e999'>{MESSAGE}</tap>", "tap: at is no number of seconds: '1e999'"),
        (f"<tap at='1.0'>{MESSAGE}</tap>", "tap: no n"),
        ("<changed n='1' user='alice' what='mood'/>", "changed: what is none of roster, blocks, account: 'mood'"),
        ("<gift/>", "{urn:x-rapport:link:0}gift: unknown element"),
        (f"<tap n='1' at='1'>{MESSAGE}<member nick='Al'/></tap>", "member: no jid"),
    ],
)
def test_a_malformed_notice_is_refused_by_element_and_attribute(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        link.parse_notice(xml(text))


def test_an_element_of_another_namespace_is_no_notice() -> None:
    with pytest.raises(ValueError, match="unknown element"):
        link.parse_notice(Element("ready"))


def test_a_notice_travels_in_a_message_without_type() -> None:
    stanza = link.notice("rapport.example.org", "example.org", link.Ack(3))
    assert (
        tostring(stanza).decode() == '<ns0:message xmlns:ns0="jabber:component:accept" xmlns:ns1="urn:x-rapport:link:0" '
        'from="rapport.example.org" to="example.org"><ns1:ack h="3" /></ns0:message>'
    )
    assert link.link_element(stanza) is stanza[0]


def test_a_request_travels_in_an_iq_get() -> None:
    stanza = link.request("rapport.example.org", "example.org", "r1", link.RosterRequest("alice"))
    assert stanza.attrib == {"from": "rapport.example.org", "to": "example.org", "type": "get", "id": "r1"}
    assert link.parse_request(stanza[0]) == link.RosterRequest("alice")


def test_a_handed_over_stanza_tells_its_number_and_is_no_notice() -> None:
    stanza = fromstring("<message xmlns='jabber:component:accept'><body/><handed xmlns='urn:x-rapport:link:0' n='7'/></message>")
    assert link.handed(stanza) == 7
    assert link.link_element(stanza) is None


def test_a_stanza_that_was_not_counted_has_no_number() -> None:
    assert link.handed(fromstring("<message xmlns='jabber:component:accept'/>")) is None


def test_a_once_id_has_1_to_64_characters() -> None:
    stanza = Element("{jabber:component:accept}message")
    link.add_once(stanza, "x" * 64)
    assert stanza[0].attrib == {"id": "x" * 64}
    for odd in ("", "x" * 65):
        with pytest.raises(ValueError, match="once"):
            link.add_once(stanza, odd)


@given(st.floats(min_value=0, max_value=4e9))
def test_an_instant_keeps_its_microsecond(at: float) -> None:
    element = link.Tap(1, at, fromstring(MESSAGE)).element()
    assert link.Tap.parse(element).at == pytest.approx(at, abs=1e-6)


names = st.sampled_from([text[1:].split()[0].strip("</>") for text, _ in (*NOTICES, *REQUESTS)])
words = st.sampled_from(sorted({name for text, _ in (*NOTICES, *REQUESTS, *RESULTS) for name in xml(text).attrib}))
attributes = st.dictionaries(words, st.sampled_from(["", "0", "1", "1.5", "-1", "own", "roster", "a@b/c", "٣", "nan", "9" * 400]))


@given(names, attributes)
def test_an_odd_notice_is_read_or_refused_and_nothing_else(name: str, given_attributes: dict[str, str]) -> None:
    element = Element(f"{{urn:x-rapport:link:0}}{name}", given_attributes)
    for parse in (link.parse_notice, link.parse_request, link.parse_result):
        try:
            value = parse(element)
        except ValueError as refusal:
            assert str(refusal)
        else:
            assert parse(value.element()) == value
