"""What people say of themselves, as the policies need it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, fromstring

import pytest

from component.rules.distance import Place
from component.virtual.profiles import Person, Profiles, age, place_in
from tests.fakes import FakeClock
from tests.virtual.fakes import SHOP, Server

CAT = "cat@x.org"
VCARD = fromstring("<iq><vCard xmlns='vcard-temp'><FN>Catherine Sloper</FN><NICKNAME> Cat\n</NICKNAME><BDAY>1990-04-01</BDAY></vCard></iq>")
NODES = {
    "http://jabber.org/protocol/geoloc": "<geoloc xmlns='http://jabber.org/protocol/geoloc'><lat>52.52</lat><lon>13.4</lon></geoloc>",
    "urn:xmpp:vcard4": "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><lang><parameters/><language-tag>de-AT</language-tag></lang>"
    "<gender><sex>F</sex></gender><expertise><text>Java</text></expertise></vcard>",
    "http://jabber.org/protocol/nick": "<nick xmlns='http://jabber.org/protocol/nick'>Kitty</nick>",
}


@dataclass
class Answering(Server):
    """Answers PEP items by their node."""

    nodes: Mapping[str, str] = field(default_factory=lambda: NODES)

    async def ask(self, iq: Element) -> Element:
        items = iq.find(".//{http://jabber.org/protocol/pubsub}items")
        if items is not None and self.answers:
            node = items.get("node", "")
            return fromstring(
                f"<iq><pubsub xmlns='http://jabber.org/protocol/pubsub'><items><item>{self.nodes[node]}</item></items></pubsub></iq>"
            )
        return await super().ask(iq)


@pytest.mark.parametrize(
    ("born", "years"),
    [("1990-04-01", 35), ("19900302", 36), ("1990-03-02T00:00:00Z", 36), ("1990-03-03", 35), ("", None), ("--04-01", None), ("soon", None)],
)
def test_an_age_is_whole_years(born: str, years: int | None) -> None:
    assert age(born, datetime(2026, 3, 2, tzinfo=UTC).timestamp()) == years


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        ("<lat>52.52</lat><lon>13.4</lon>", Place(52.52, 13.4)),
        ("<lat>91</lat><lon>13.4</lon>", None),
        ("<lat>north</lat><lon>13.4</lon>", None),
        ("<lat>nan</lat><lon>1</lon>", None),
        ("<lat>52.52</lat>", None),
        ("", None),
    ],
)
def test_a_place_is_one_on_earth(payload: str, place: Place | None) -> None:
    assert place_in(fromstring(f"<geoloc xmlns='http://jabber.org/protocol/geoloc'>{payload}</geoloc>")) == place


@pytest.mark.parametrize(
    ("person", "name"),
    [
        (Person(nick="Kitty", nickname="Cat", full_name="Catherine"), "Kitty"),
        (Person(nickname="Cat", full_name="Catherine"), "Cat"),
        (Person(full_name="Catherine"), "Catherine"),
        (Person(), "cat"),
    ],
)
def test_a_name_is_the_nick_before_the_card_before_the_address(person: Person, name: str) -> None:
    assert person.name(CAT) == name


async def test_only_what_policies_need_is_asked_and_all_of_it_is_known() -> None:
    named: list[str] = []
    server = Answering(answers={(CAT, "{vcard-temp}vCard"): VCARD})
    clock = FakeClock(datetime(2026, 3, 2, tzinfo=UTC).timestamp())
    profiles = Profiles(server, clock, named.append)
    assert not profiles.is_known(CAT)
    await profiles.ask(CAT, SHOP, ["latest", "nearest", "attributes"])
    person = profiles.of(CAT)
    assert profiles.is_known(CAT)
    assert (person.name(CAT), person.place) == ("Kitty", Place(52.52, 13.4))
    assert person.attributes_at(clock.now()) == {
        "language": frozenset({"de-at"}),
        "gender": frozenset({"f"}),
        "skill": frozenset({"java"}),
        "age": frozenset({"35"}),
    }
    assert set(named) == {CAT}


async def test_who_tells_their_place_no_more_is_nowhere() -> None:
    server = Answering(answers={(CAT, "{vcard-temp}vCard"): VCARD})
    profiles = Profiles(server, FakeClock(), lambda _jid: None)
    await profiles.ask(CAT, SHOP, ["nearest"])
    assert profiles.of(CAT).place is not None
    server.nodes = {**NODES, "http://jabber.org/protocol/geoloc": "<geoloc xmlns='http://jabber.org/protocol/geoloc'/>"}
    await profiles.ask(CAT, SHOP, ["nearest"])
    assert profiles.of(CAT).place is None


async def test_whoever_says_nothing_is_known_by_the_address() -> None:
    profiles = Profiles(Server(), FakeClock(), lambda _jid: None)
    await profiles.ask(CAT, SHOP, ["nearest"])
    assert (profiles.of(CAT).name(CAT), profiles.of(CAT).place) == ("cat", None)


async def test_events_tell_a_new_name_and_place() -> None:
    named: list[str] = []
    profiles = Profiles(Server(), FakeClock(), named.append)
    for node, payload in NODES.items():
        xml = f"<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='{node}'><item>{payload}</item></items></event>"
        assert profiles.event(CAT, fromstring(xml)) is node.endswith("geoloc")
    assert (profiles.of(CAT).name(CAT), profiles.of(CAT).place) == ("Kitty", Place(52.52, 13.4))
    assert named == [CAT]
