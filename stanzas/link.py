"""The elements of docs/link.md as values: each class builds its element and parses it back.

`parse` takes the link element itself, not the stanza around it; on a malformed one it raises ValueError, naming element and attribute.
Instants are UNIX seconds, written with six decimals. JIDs stay as the server wrote them: it has normalised them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, Self, TypeVar
from xml.etree.ElementTree import Element

from stanzas.namespaces import CLIENT, COMPONENT, LINK, XML, qualified

VERSION = "0"
BATCH = 1000
"""The most users of one `gate`, and the most contacts of one `show`."""
ONCE_LENGTH = 64
"""The longest id of a `once`, in characters."""

SHOWN_AS = ("own", "chat", "online", "away", "xa", "dnd", "offline")
"""What `show` can make of a session's presence."""
CHANGES = ("roster", "blocks", "account")
"""What a `changed` can be about."""

_T = TypeVar("_T")
_LANG = qualified(XML, "lang")
_PREFIX = qualified(LINK, "")
HANDED = qualified(LINK, "handed")
_TO = qualified(LINK, "to")
_MESSAGE = qualified(CLIENT, "message")
_PRESENCE = qualified(CLIENT, "presence")
_WHOLE = re.compile(r"[0-9]{1,18}")
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Hello:
    """The component's hello: the last hand-over that it has stored, if any."""

    version: str = VERSION
    epoch: str | None = None
    h: int | None = None

    def element(self) -> Element:
        return _build("hello", {"version": self.version, "epoch": self.epoch, "h": self.h})

    @classmethod
    def parse(cls, element: Element) -> Self:
        return cls(_text(element, "version"), element.get("epoch"), _optional(element, "h", _whole))


@dataclass(frozen=True, slots=True)
class ModuleHello:
    """The module's hello: `grace` in seconds, `buffer` in items, `dropped` counted items that found the buffer full."""

    version: str
    epoch: str
    server: str
    grace: float
    buffer: int
    dropped: int

    def element(self) -> Element:
        return _build(
            "hello",
            {
                "version": self.version,
                "epoch": self.epoch,
                "server": self.server,
                "grace": f"{self.grace:g}",
                "buffer": self.buffer,
                "dropped": self.dropped,
            },
        )

    @classmethod
    def parse(cls, element: Element) -> Self:
        return cls(
            _text(element, "version"),
            _text(element, "epoch"),
            _text(element, "server"),
            _seconds(element, "grace"),
            _whole(element, "buffer"),
            _whole(element, "dropped"),
        )


@dataclass(frozen=True, slots=True)
class Refused:
    """The module speaks another version (`version` is its own, `asked` ours), or did not understand the element `name`."""

    version: str | None = None
    asked: str | None = None
    name: str | None = None
    reason: str | None = None

    def element(self) -> Element:
        return _build("refused", {"version": self.version, "asked": self.asked, "name": self.name, "reason": self.reason})

    @classmethod
    def parse(cls, element: Element) -> Self:
        if "version" not in element.attrib and "name" not in element.attrib:
            raise ValueError("refused: neither version nor name")
        return cls(element.get("version"), element.get("asked"), element.get("name"), element.get("reason"))


@dataclass(frozen=True, slots=True)
class Gate:
    """Hold back the presence of these users (local parts) from now on, or no longer; at most `BATCH` of them."""

    on: bool
    users: tuple[str, ...]

    def element(self) -> Element:
        element = _build("gate", {"on": self.on})
        for user in self.users:
            _add(element, "user", {"name": user})
        return element

    @classmethod
    def parse(cls, element: Element) -> Self:
        return cls(_flag(element, "on"), tuple(_text(user, "name") for user in _children(element, "user")))


@dataclass(frozen=True, slots=True)
class Ready:
    """That was all: of the component's gates, or of the module's sessions."""

    def element(self) -> Element:
        return _build("ready")

    @classmethod
    def parse(cls, _element: Element) -> Self:
        return cls()


@dataclass(frozen=True, slots=True)
class Renew:
    """The module lost its state or its place: start over with hello."""

    def element(self) -> Element:
        return _build("renew")

    @classmethod
    def parse(cls, _element: Element) -> Self:
        return cls()


@dataclass(frozen=True, slots=True)
class Ack:
    """Everything up to and including `h` is stored."""

    h: int

    def element(self) -> Element:
        return _build("ack", {"h": self.h})

    @classmethod
    def parse(cls, element: Element) -> Self:
        return cls(_whole(element, "h"))


@dataclass(frozen=True, slots=True)
class Show:
    """Show version `version` of the session `jid` (a full JID) to the contacts `to` (bare JIDs, at most `BATCH`).

    `shown_as` is one of `SHOWN_AS`. `statuses`: (xml:lang, text) pairs that replace all status elements; none leave those in place.
    """

    jid: str
    version: int
    shown_as: str
    key: str
    to: tuple[str, ...]
    statuses: tuple[tuple[str, str], ...] = ()

    def element(self) -> Element:
        element = _build("show", {"jid": self.jid, "v": self.version, "key": self.key, "as": self.shown_as})
        for lang, text in self.statuses:
            status = _add(element, "status", text=text)
            if lang:
                status.set(_LANG, lang)
        element.extend([Element(_TO, {"jid": contact}) for contact in self.to])
        return element

    @classmethod
    def parse(cls, element: Element) -> Self:
        return cls(
            _text(element, "jid"),
            _whole(element, "v"),
            _one_of(element, "as", SHOWN_AS),
            _text(element, "key"),
            tuple(_text(to, "jid") for to in _children(element, "to")),
            tuple((status.get(_LANG, ""), status.text or "") for status in _children(element, "status")),
        )


@dataclass(frozen=True, slots=True)
class SessionNotice:
    """A session's own presence, or its end (`gone`, without a presence).

    `truth`: contacts that are not in `shown` have seen this presence unchanged. `shown`: contact's bare JID → key of what it was shown;
    None: what the component knows still holds.
    """

    jid: str
    version: int
    truth: bool = False
    gone: bool = False
    presence: Element | None = field(default=None, compare=False)
    shown: Mapping[str, str] | None = None

    def element(self) -> Element:
        element = _build("session", {"jid": self.jid, "v": self.version})
        if self.gone:
            element.set("gone", "1")
            return element
        element.set("truth", _written(self.truth))
        if self.presence is not None:
            element.append(self.presence)
        if self.shown is not None:
            element.set("shown", "1")
            contacts: dict[str, list[str]] = {}
            for contact, key in self.shown.items():
                contacts.setdefault(key, []).append(contact)
            for key, those in contacts.items():
                shown = _add(element, "shown", {"key": key})
                for contact in those:
                    _add(shown, "to", {"jid": contact})
        return element

    @classmethod
    def parse(cls, element: Element) -> Self:
        jid, version = _text(element, "jid"), _whole(element, "v")
        if _flag(element, "gone", default=False):
            return cls(jid, version, gone=True)
        presence = element.find(_PRESENCE)
        if presence is None:
            raise ValueError("session: no presence")
        shown = None
        if _flag(element, "shown", default=False):
            shown = {_text(to, "jid"): _text(each, "key") for each in _children(element, "shown") for to in _children(each, "to")}
        return cls(jid, version, _flag(element, "truth", default=False), presence=presence, shown=shown)


@dataclass(frozen=True, slots=True)
class Probe:
    """The probe of a subscribed contact (`sender`: a JID, perhaps full) of a gated user (`recipient`) with an available session."""

    sender: str
    recipient: str

    def element(self) -> Element:
        return _build("probe", {"to": self.recipient, "from": self.sender})

    @classmethod
    def parse(cls, element: Element) -> Self:
        return cls(_text(element, "from"), _text(element, "to"))


class Member(NamedTuple):
    """A user (bare JID) who is in a room, or belongs to it; their nick, if they have one."""

    jid: str
    nick: str | None = None


@dataclass(frozen=True, slots=True)
class Tap:
    """A message that the server accepted at the instant `at`; `message` is the reduced message (docs/link.md, 3).

    `members`: of a message in a room, the users of served hosts who get it.
    """

    n: int
    at: float
    message: Element = field(compare=False)
    members: tuple[Member, ...] = ()

    def element(self) -> Element:
        element = _build("tap", {"n": self.n, "at": _instant(self.at)})
        element.append(self.message)
        for member in self.members:
            _add(element, "member", member._asdict())
        return element

    @classmethod
    def parse(cls, element: Element) -> Self:
        members = tuple(Member(_text(member, "jid"), member.get("nick")) for member in _children(element, "member"))
        return cls(_whole(element, "n"), _seconds(element, "at"), _message(element), members)


@dataclass(frozen=True, slots=True)
class ReadState:
    """`user` has read what `contact` wrote up to the message `id` of the archive of `by` (XEP-0490; bare JIDs)."""

    n: int
    at: float
    user: str
    contact: str
    id: str
    by: str

    def element(self) -> Element:
        return _build(
            "read", {"n": self.n, "at": _instant(self.at), "user": self.user, "contact": self.contact, "id": self.id, "by": self.by}
        )

    @classmethod
    def parse(cls, element: Element) -> Self:
        user, contact = _text(element, "user"), _text(element, "contact")
        return cls(_whole(element, "n"), _seconds(element, "at"), user, contact, _text(element, "id"), _text(element, "by"))


@dataclass(frozen=True, slots=True)
class Bounce:
    """The tapped message `id` from `sender` to `recipient` came back as an error; `id` is empty if it had none."""

    n: int
    at: float
    sender: str
    recipient: str
    id: str = ""

    def element(self) -> Element:
        return _build("bounce", {"n": self.n, "at": _instant(self.at), "to": self.recipient, "id": self.id or None, "from": self.sender})

    @classmethod
    def parse(cls, element: Element) -> Self:
        return cls(_whole(element, "n"), _seconds(element, "at"), _text(element, "from"), _text(element, "to"), element.get("id", ""))


@dataclass(frozen=True, slots=True)
class Changed:
    """The roster, block list or account (`what`, one of `CHANGES`) of `user` (a local part) changed."""

    n: int
    user: str
    what: str

    def element(self) -> Element:
        return _build("changed", {"n": self.n, "user": self.user, "what": self.what})

    @classmethod
    def parse(cls, element: Element) -> Self:
        return cls(_whole(element, "n"), _text(element, "user"), _one_of(element, "what", CHANGES))


@dataclass(frozen=True, slots=True)
class RosterRequest:
    """Asks for the roster of `user` (a local part)."""

    user: str

    def element(self) -> Element:
        return _build("roster", {"user": self.user})

    @classmethod
    def parse(cls, element: Element) -> Self:
        return cls(_text(element, "user"))


class RosterItem(NamedTuple):
    """A roster item as the server holds it; `subscription` is RFC 6121's word."""

    jid: str
    subscription: str
    name: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RosterResult:
    user: str
    items: tuple[RosterItem, ...]

    def element(self) -> Element:
        element = _build("roster", {"user": self.user})
        for item in self.items:
            child = _add(element, "item", {"jid": item.jid, "name": item.name or None, "subscription": item.subscription})
            for group in item.groups:
                _add(child, "group", text=group)
        return element

    @classmethod
    def parse(cls, element: Element) -> Self:
        items = (
            RosterItem(
                _text(item, "jid"),
                item.get("subscription", "none"),
                item.get("name", ""),
                tuple(group.text or "" for group in _children(item, "group")) if len(item) else (),
            )
            for item in _children(element, "item")
        )
        return cls(_text(element, "user"), tuple(items))


@dataclass(frozen=True, slots=True)
class BlocksRequest:
    """Asks for the block list of `user` (a local part)."""

    user: str

    def element(self) -> Element:
        return _build("blocks", {"user": self.user})

    @classmethod
    def parse(cls, element: Element) -> Self:
        return cls(_text(element, "user"))


@dataclass(frozen=True, slots=True)
class BlocksResult:
    """`jids`: full, bare and domain JIDs (XEP-0191)."""

    user: str
    jids: tuple[str, ...]

    def element(self) -> Element:
        element = _build("blocks", {"user": self.user})
        for jid in self.jids:
            _add(element, "item", {"jid": jid})
        return element

    @classmethod
    def parse(cls, element: Element) -> Self:
        return cls(_text(element, "user"), tuple(_text(item, "jid") for item in _children(element, "item")))


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """Asks for up to `max` entries of the archive of `user` (a local part), after the archive id `after` (None: from the start)."""

    user: str
    after: str | None
    max: int

    def element(self) -> Element:
        return _build("history", {"user": self.user, "after": self.after, "max": self.max})

    @classmethod
    def parse(cls, element: Element) -> Self:
        return cls(_text(element, "user"), element.get("after"), _whole(element, "max"))


@dataclass(frozen=True, slots=True)
class Archived:
    """A message of a user's archive: its archive id, its instant, and the reduced message."""

    id: str
    at: float
    message: Element = field(compare=False)


@dataclass(frozen=True, slots=True)
class HistoryResult:
    """A page, oldest first. `last`: the archive id to go on after; `count`: how many the whole archive holds, where the server knows it."""

    user: str
    entries: tuple[Archived, ...]
    complete: bool
    last: str | None = None
    count: int | None = None

    def element(self) -> Element:
        element = _build("history", {"user": self.user, "complete": self.complete or None, "last": self.last, "count": self.count})
        for entry in self.entries:
            _add(element, "tap", {"id": entry.id, "at": _instant(entry.at)}).append(entry.message)
        return element

    @classmethod
    def parse(cls, element: Element) -> Self:
        return cls(
            _text(element, "user"),
            tuple(Archived(_text(tap, "id"), _seconds(tap, "at"), _message(tap)) for tap in _children(element, "tap")),
            _flag(element, "complete", default=False),
            element.get("last"),
            _optional(element, "count", _whole),
        )


Notice = Hello | ModuleHello | Refused | Gate | Ready | Renew | Ack | Show | SessionNotice | Probe | Tap | ReadState | Bounce | Changed
Request = RosterRequest | BlocksRequest | HistoryRequest
Result = RosterResult | BlocksResult | HistoryResult


def _hello(element: Element) -> Hello | ModuleHello:
    return ModuleHello.parse(element) if "server" in element.attrib else Hello.parse(element)


_NOTICES: Mapping[str, Callable[[Element], Notice]] = {
    qualified(LINK, "hello"): _hello,
    qualified(LINK, "refused"): Refused.parse,
    qualified(LINK, "gate"): Gate.parse,
    qualified(LINK, "ready"): Ready.parse,
    qualified(LINK, "renew"): Renew.parse,
    qualified(LINK, "ack"): Ack.parse,
    qualified(LINK, "show"): Show.parse,
    qualified(LINK, "session"): SessionNotice.parse,
    qualified(LINK, "probe"): Probe.parse,
    qualified(LINK, "tap"): Tap.parse,
    qualified(LINK, "read"): ReadState.parse,
    qualified(LINK, "bounce"): Bounce.parse,
    qualified(LINK, "changed"): Changed.parse,
}
_REQUESTS: Mapping[str, Callable[[Element], Request]] = {
    qualified(LINK, "roster"): RosterRequest.parse,
    qualified(LINK, "blocks"): BlocksRequest.parse,
    qualified(LINK, "history"): HistoryRequest.parse,
}
_RESULTS: Mapping[str, Callable[[Element], Result]] = {
    qualified(LINK, "roster"): RosterResult.parse,
    qualified(LINK, "blocks"): BlocksResult.parse,
    qualified(LINK, "history"): HistoryResult.parse,
}


def parse_notice(element: Element) -> Notice:
    """Raises ValueError if it is malformed or no notice of this version."""
    return _parse(element, _NOTICES)


def parse_request(element: Element) -> Request:
    """The child of an IQ get. Raises ValueError if it is malformed or no request of this version."""
    return _parse(element, _REQUESTS)


def parse_result(element: Element) -> Result:
    """The child of an IQ result. Raises ValueError if it is malformed or answers no request of this version."""
    return _parse(element, _RESULTS)


def notice(sender: str, recipient: str, value: Notice) -> Element:
    """The message that carries a notice."""
    stanza = Element(qualified(COMPONENT, "message"), {"from": sender, "to": recipient})
    stanza.append(value.element())
    return stanza


def request(sender: str, recipient: str, stanza_id: str, value: Request) -> Element:
    """The IQ get that carries a request."""
    stanza = Element(qualified(COMPONENT, "iq"), {"from": sender, "to": recipient, "type": "get", "id": stanza_id})
    stanza.append(value.element())
    return stanza


def link_element(stanza: Element) -> Element | None:
    """The link element that a stanza carries (the first), or None; `handed` does not make a stanza a notice."""
    return next((child for child in stanza if child.tag.startswith(_PREFIX) and child.tag != HANDED), None)


def handed(stanza: Element) -> int | None:
    """The number under which the module handed over a stanza to one of the component's own addresses; None: uncounted.

    Raises ValueError if the number is malformed.
    """
    element = stanza.find(HANDED)
    return None if element is None else _whole(element, "n")


def add_once(stanza: Element, once_id: str) -> None:
    """Have the module drop this stanza if it saw the id before; only while the link is up (docs/link.md, 2).

    Raises ValueError if the id is empty or longer than `ONCE_LENGTH`.
    """
    if not 0 < len(once_id) <= ONCE_LENGTH:
        raise ValueError(f"once: an id of {len(once_id)} characters")
    _add(stanza, "once", {"id": once_id})


def _parse(element: Element, parsers: Mapping[str, Callable[[Element], _T]]) -> _T:
    parser = parsers.get(element.tag)
    if parser is None:
        raise ValueError(f"{element.tag}: unknown element")
    return parser(element)


def _build(name: str, attributes: Mapping[str, str | int | None] = MappingProxyType({})) -> Element:
    """Attributes that are None are left out; booleans become 1 and 0."""
    given = {key: _written(value) for key, value in attributes.items() if value is not None}
    return Element(qualified(LINK, name), given)


def _add(parent: Element, name: str, attributes: Mapping[str, str | int | None] = MappingProxyType({}), text: str | None = None) -> Element:
    child = _build(name, attributes)
    child.text = text
    parent.append(child)
    return child


def _written(value: str | int) -> str:
    return str(int(value)) if isinstance(value, int) else value


def _instant(at: float) -> str:
    return f"{at:.6f}"


def _children(element: Element, name: str) -> list[Element]:
    return element.findall(qualified(LINK, name))


def _message(element: Element) -> Element:
    message = element.find(_MESSAGE)
    if message is None:
        raise ValueError(f"{_name(element)}: no message")
    return message


def _text(element: Element, attribute: str) -> str:
    text = element.get(attribute)
    if not text:
        raise ValueError(f"{_name(element)}: no {attribute}")
    return text


def _whole(element: Element, attribute: str) -> int:
    text = _text(element, attribute)
    if _WHOLE.fullmatch(text) is None:
        raise ValueError(f"{_name(element)}: {attribute} is no whole number: {text!r}")
    return int(text)


def _seconds(element: Element, attribute: str) -> float:
    text = _text(element, attribute)
    if _SECONDS.fullmatch(text) is None:
        raise ValueError(f"{_name(element)}: {attribute} is no number of seconds: {text!r}")
    return float(text)


def _flag(element: Element, attribute: str, default: bool | None = None) -> bool:
    text = element.get(attribute)
    if text is None and default is not None:
        return default
    if text not in ("0", "1"):
        raise ValueError(f"{_name(element)}: {attribute} is neither 0 nor 1: {text!r}")
    return text == "1"


def _one_of(element: Element, attribute: str, words: tuple[str, ...]) -> str:
    text = _text(element, attribute)
    if text not in words:
        raise ValueError(f"{_name(element)}: {attribute} is none of {', '.join(words)}: {text!r}")
    return text


def _optional(element: Element, attribute: str, read: Callable[[Element, str], _T]) -> _T | None:
    return read(element, attribute) if attribute in element.attrib else None


def _name(element: Element) -> str:
    return element.tag.removeprefix(_PREFIX)
