"""What is known of customers and sub-users: names, places, attributes, round-trip times. Asked of their servers by IQ, and kept."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element

from component.ports import Clock, IqError, LinkDown, Server
from component.rules.distance import Place
from stanzas.build import element, iq
from stanzas.namespaces import NICK, PING, PUBSUB, PUBSUB_EVENT, VCARD4, VCARD4_NODE, VCARD_TEMP, qualified
from stanzas.text import is_clean

GEOLOC = "http://jabber.org/protocol/geoloc"
"""XEP-0080"""
PATIENCE = 1.0
"""Seconds that a new customer's message waits for what is not known yet; what comes later is kept for the next time."""
FRESH = 600.0
"""Seconds after which names are asked again, for a new conversation."""
MOVES = 1.0
"""Seconds after which places and attributes are asked again, for another choice that needs them: people may move at any time, and servers
tell only those whom they know by caps (XEP-0163, 4.3)."""
KEPT = 20_000
"""People who are remembered; past that the one asked longest ago is forgotten."""
LONGEST_NAME = 200

_PLACE, _ATTRIBUTES = "place", "attributes"
_NEEDS = {"nearest": _PLACE, "nearest-known": _PLACE, "attributes": _ATTRIBUTES}
"""Policy → what is asked for it."""
_EXPECTED = (IqError, LinkDown, TimeoutError)


@dataclass(slots=True)
class Person:
    """What somebody says of themselves."""

    nick: str = ""
    """By PEP (XEP-0172), or in a message."""
    nickname: str = ""
    """In the vCard."""
    full_name: str = ""
    place: Place | None = None
    attributes: dict[str, frozenset[str]] = field(default_factory=dict)
    born: str = ""
    """The vCard's BDAY."""
    asked_at: float | None = None
    asked_for: frozenset[str] = frozenset()

    def name(self, jid: str) -> str:
        """What to call them: the nick, the vCard's names, else the local part."""
        return self.nick or self.nickname or self.full_name or jid.partition("@")[0]

    def attributes_at(self, now: float) -> Mapping[str, frozenset[str]]:
        years = age(self.born, now)
        return self.attributes if years is None else {**self.attributes, "age": frozenset({str(years)})}


class Profiles:
    def __init__(self, server: Server, clock: Clock, on_name: Callable[[str], None]) -> None:
        """`on_name` is told the bare JID whose name is known, or another than before."""
        self._server, self._clock, self._on_name = server, clock, on_name
        self._people: dict[str, Person] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    def of(self, jid: str) -> Person:
        """What is known of a bare JID now."""
        person = self._people.get(jid)
        if person is None:
            person = self._people[jid] = Person()
            if len(self._people) > KEPT:
                self._forget_one()
        return person

    def is_known(self, jid: str, policies: Collection[str] = ()) -> bool:
        """Whether they were asked lately for all that these policies need to know."""
        person, needs = self.of(jid), _needs(policies)
        fresh = MOVES if needs else FRESH
        return person.asked_at is not None and self._clock.now() < person.asked_at + fresh and needs <= person.asked_for

    async def ask(self, jid: str, asker: str, policies: Collection[str]) -> None:
        """Ask for what these policies need to know; waits `PATIENCE` at most. `asker`: the virtual user's JID."""
        task = self._asking.get(jid)
        if task is None:
            task = self._asking[jid] = asyncio.create_task(self._ask(jid, asker, policies))
        await asyncio.wait({task}, timeout=PATIENCE)

    async def place_of(self, jid: str, asker: str, known: Place | None) -> Place | None:
        """Where somebody says they are (XEP-0080 by PEP; None: nowhere any more); as it was `known` before, if there is no answer."""
        items = await self._items(jid, asker, GEOLOC)
        return known if items is None else _place(items)

    async def round_trip(self, jid: str, asker: str) -> float | None:
        """Seconds until a full JID answers a ping (XEP-0199), by any answer; None: it did not."""
        begun = self._clock.now()
        try:
            await self._server.ask(iq("get", asker, jid, element(PING, "ping")))
        except IqError:
            pass
        except (LinkDown, TimeoutError):
            return None
        return self._clock.now() - begun

    def says(self, jid: str, nick: str) -> None:
        """They gave a nick in a message."""
        self._name(jid, self.of(jid), nick=nick)

    def event(self, jid: str, event: Element) -> bool:
        """A PEP event of theirs came; whether it says where they are."""
        items = event.find(qualified(PUBSUB_EVENT, "items"))
        node = "" if items is None else items.get("node")
        if items is not None and node == NICK:
            self._name(jid, self.of(jid), nick=items.findtext(f".//{qualified(NICK, 'nick')}") or "")
        if items is not None and node == GEOLOC:
            self.of(jid).place = _place(items)
        return node == GEOLOC

    def forget(self, jid: str) -> None:
        """What a bare JID said of themselves is erased."""
        self._people.pop(jid, None)

    def stop(self) -> None:
        """Wait for no more answers."""
        for task in list(self._asking.values()):
            task.cancel()

    # --- asking ---

    async def _ask(self, jid: str, asker: str, policies: Collection[str]) -> None:
        person = self.of(jid)
        needs = _needs(policies) | person.asked_for
        asks: list[Coroutine[Any, Any, None]] = [self._ask_vcard(jid, asker, person), self._ask_nick(jid, asker, person)]
        if _PLACE in needs:
            asks.append(self._ask_place(jid, asker, person))
        if _ATTRIBUTES in needs:
            asks.append(self._ask_vcard4(jid, asker, person))
        try:
            await asyncio.gather(*asks)
        finally:
            person.asked_at, person.asked_for = self._clock.now(), needs
            del self._asking[jid]

    async def _ask_vcard(self, jid: str, asker: str, person: Person) -> None:
        with suppress(*_EXPECTED):
            answer = await self._server.ask(iq("get", asker, jid, element(VCARD_TEMP, "vCard")))
            nickname = answer.findtext(f".//{qualified(VCARD_TEMP, 'NICKNAME')}") or ""
            self._name(jid, person, nickname=nickname, full_name=answer.findtext(f".//{qualified(VCARD_TEMP, 'FN')}") or "")
            person.born = person.born or answer.findtext(f".//{qualified(VCARD_TEMP, 'BDAY')}") or ""

    async def _ask_nick(self, jid: str, asker: str, person: Person) -> None:
        items = await self._items(jid, asker, NICK)
        if items is not None:
            self._name(jid, person, nick=items.findtext(f".//{qualified(NICK, 'nick')}") or "")

    async def _ask_place(self, jid: str, asker: str, person: Person) -> None:
        person.place = await self.place_of(jid, asker, person.place)

    async def _ask_vcard4(self, jid: str, asker: str, person: Person) -> None:
        items = await self._items(jid, asker, VCARD4_NODE)
        if items is None:
            return
        languages = [text.text for text in items.iterfind(f".//{qualified(VCARD4, 'lang')}/{qualified(VCARD4, 'language-tag')}")]
        gender = items.findtext(f".//{qualified(VCARD4, 'gender')}/{qualified(VCARD4, 'sex')}")
        skills = [text.text for text in items.iterfind(f".//{qualified(VCARD4, 'expertise')}/{qualified(VCARD4, 'text')}")]
        person.born = items.findtext(f".//{qualified(VCARD4, 'bday')}/*") or person.born
        found = {"language": languages, "gender": [gender], "skill": skills}
        parsed = {name: frozenset(value.strip().lower() for value in values if value and value.strip()) for name, values in found.items()}
        person.attributes = {name: values for name, values in parsed.items() if values}

    async def _items(self, jid: str, asker: str, node: str) -> Element | None:
        """The last item of a PEP node; None: there is none, or it is not for us."""
        pubsub = element(PUBSUB, "pubsub")
        pubsub.append(element(PUBSUB, "items", {"node": node, "max_items": "1"}))
        try:
            answer = await self._server.ask(iq("get", asker, jid, pubsub))
        except _EXPECTED:
            return None
        return answer.find(f".//{qualified(PUBSUB, 'items')}")

    def _name(self, jid: str, person: Person, **names: str) -> None:
        before = person.name(jid)
        for which, name in names.items():
            one_line = " ".join(name.split())[:LONGEST_NAME]
            if is_clean(one_line):
                setattr(person, which, one_line)
        if person.name(jid) != before:
            self._on_name(jid)

    def _forget_one(self) -> None:
        oldest = next(jid for jid in self._people if jid not in self._asking)
        del self._people[oldest]


def needs_places(policies: Iterable[str]) -> bool:
    """Whether one of these policies is about who is where."""
    return _PLACE in _needs(policies)


def _needs(policies: Iterable[str]) -> frozenset[str]:
    return frozenset(_NEEDS[policy] for policy in policies if policy in _NEEDS)


def _place(items: Element | None) -> Place | None:
    geoloc = None if items is None else items.find(f".//{qualified(GEOLOC, 'geoloc')}")
    return None if geoloc is None else place_in(geoloc)


def place_in(geoloc: Element) -> Place | None:
    """The place of a `<geoloc/>`; None: it has none, or none on Earth."""
    try:
        lat, lon = (float(geoloc.findtext(qualified(GEOLOC, name)) or "nan") for name in ("lat", "lon"))
    except ValueError:
        return None
    return Place(lat, lon) if -90 <= lat <= 90 and -180 <= lon <= 180 else None


def age(born: str, now: float) -> int | None:
    """Whole years between a birthday (`1990-04-01`, `19900401`) and now; None: it is none."""
    digits = born.strip().replace("-", "")[:8]
    try:
        birthday = datetime.strptime(digits, "%Y%m%d").date()
    except ValueError:
        return None
    today = datetime.fromtimestamp(now, UTC).date()
    return today.year - birthday.year - ((today.month, today.day) < (birthday.month, birthday.day))
