"""What becomes of a message's payload between customer and sub-user (spec/20-virtual.md).

*Inward*, to the sub-user, everything is kept but what only a server may say. *Outward*, to the customer, everything is kept but what
names the sub-user: addresses, nick, resource, ids. A name that a person typed into the text is that person's own doing.
"""

import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree.ElementTree import Element

from stanzas.build import element, fresh_id
from stanzas.jid import bare
from stanzas.namespaces import CHAT_STATES, COMPONENT, DELAY, HINTS, LEGACY_DELAY, NICK, PUBSUB_EVENT, XML, qualified

BODY = qualified(COMPONENT, "body")
MESSAGE = qualified(COMPONENT, "message")
NICKNAME = qualified(NICK, "nick")
LANG = qualified(XML, "lang")
_HTML = qualified("http://jabber.org/protocol/xhtml-im", "html")
_REPLY = qualified("urn:xmpp:reply:0", "reply")
_OMEMO = ("urn:xmpp:omemo:2", "eu.siacs.conversations.axolotl")
_PAYLOADS = tuple((qualified(omemo, "encrypted"), qualified(omemo, "payload")) for omemo in _OMEMO)
_ENCRYPTED = (
    qualified("urn:xmpp:eme:0", "encryption"),
    qualified("urn:xmpp:openpgp:0", "openpgp"),
    qualified("jabber:x:encrypted", "x"),
)

_OF_SERVERS = frozenset(
    {"urn:xmpp:carbons:2", "urn:xmpp:mam:2", "urn:xmpp:forward:0", "urn:x-rapport:link:0", "urn:xmpp:privilege:2", PUBSUB_EVENT}
)
"""What no person's message has a right to carry on."""
_OF_SENDERS = frozenset(
    {
        NICK,
        "http://jabber.org/protocol/address",
        "http://jabber.org/protocol/caps",
        "http://jabber.org/protocol/rosterx",
        "jabber:x:signed",
        "urn:xmpp:occupant-id:0",
        "vcard-temp:x:update",
    }
)
"""What says who sent a message, in one way or another."""
_PASSING = frozenset({CHAT_STATES, HINTS, NICK, "urn:xmpp:sid:0"})
"""What is worth nothing by itself when it can't be delivered at once."""

_OTHERS_IDS = frozenset(
    {
        qualified("urn:xmpp:receipts", "received"),
        *(qualified("urn:xmpp:chat-markers:0", name) for name in ("received", "displayed", "acknowledged")),
    }
)
"""Name, in `id`, a message of whom they are for."""
_OWN_IDS = frozenset(
    {
        qualified("urn:xmpp:message-correct:0", "replace"),
        qualified("urn:xmpp:message-retract:0", "retract"),
        qualified("urn:xmpp:message-retract:1", "retract"),
        qualified("urn:xmpp:sid:0", "origin-id"),
    }
)
"""Name, in `id`, a message of their sender."""
_ANY_IDS = frozenset(
    {
        _REPLY,
        qualified("urn:xmpp:reactions:0", "reactions"),
        qualified("urn:xmpp:fasten:0", "apply-to"),
        qualified("urn:xmpp:message-attaching:1", "attach-to"),
    }
)
_ARCHIVE_ID = qualified("urn:xmpp:sid:0", "stanza-id")
_AS_TYPED = frozenset({BODY, _HTML, qualified(COMPONENT, "subject")})

Opens = Callable[[str], str | None]
Seals = Callable[[str], str]


def counts(stanza: Element) -> bool:
    """Whether it says something: a body with text, or an encrypted one (spec/00-overview.md, What counts as a message)."""
    for child in stanza:
        if (child.tag == BODY and child.text) or child.tag in _ENCRYPTED:
            return True
        for encrypted, payload in _PAYLOADS:
            if child.tag == encrypted and child.find(payload) is not None:
                return True
    return False


def is_passing(stanza: Element) -> bool:
    """Whether it is a lone chat state or the like, of no use later."""
    return all(_namespace(child) in _PASSING or child.tag == qualified(COMPONENT, "thread") for child in stanza)


def text_of(stanza: Element) -> str:
    """The first body's text; empty where there is none."""
    return next((child.text for child in stanza if child.tag == BODY and child.text), "")


def languages_of(stanza: Element, known: frozenset[str]) -> frozenset[str]:
    """The languages that its bodies name, else those `known` of the writer, else the stanza's; in lower case."""
    bodies = frozenset(child.get(LANG, "").lower() for child in stanza if child.tag == BODY) - {""}
    # The stanza's is often only what the client's stream was opened with, or the server's default (RFC 6120, 4.7.4).
    return bodies or known or frozenset({stanza.get(LANG, "").lower()}) - {""}


def nick_of(stanza: Element) -> str:
    """The nick that a message carries (XEP-0172); empty where there is none."""
    return (stanza.findtext(NICKNAME) or "").strip()


def inward(stanza: Element, sender: str, recipient: str, nick: str, own: str, opened: Opens) -> Element:
    """A customer's message as a sub-user gets it: `sender` is the conversation address, `own` the sub-user's JID as a reply names it;
    an empty `nick` is left out.

    Ids are kept; those that name a message of the sub-user's are `opened`.
    """
    message = _envelope(stanza, sender, recipient, stanza.get("id") or fresh_id())
    for child in stanza:
        if _namespace(child) in _OF_SERVERS or child.tag == NICKNAME:
            continue
        message.append(_answering(child, sender, own, opened))
    if nick:
        message.append(element(NICK, "nick", text=nick))
    return message


@dataclass(frozen=True, slots=True)
class Disguise:
    """How one sub-user's messages are made to come from the virtual user."""

    user: str
    """The virtual user's JID."""
    customer: str
    address: str
    """The conversation address, under which the sub-user knows the customer."""
    seals: Seals
    theirs: Container[str]
    """Ids of the customer's messages, as far as they are remembered."""


def outward(stanza: Element, disguise: Disguise, text: str | None = None) -> Element:
    """A sub-user's message as the customer gets it; `text` replaces the body (a line that began with two slashes)."""
    own_id = stanza.get("id")
    message = _envelope(stanza, disguise.user, disguise.customer, disguise.seals(own_id) if own_id else fresh_id())
    names = _names(stanza.get("from", ""), disguise)
    for child in stanza:
        namespace = _namespace(child)
        if namespace in _OF_SERVERS or namespace in _OF_SENDERS or child.tag == _ARCHIVE_ID:
            continue
        if child.tag in _AS_TYPED:
            if text is None or child.tag not in (BODY, _HTML):
                message.append(child)
            elif child.text and child.tag == BODY:
                message.append(element(COMPONENT, "body", {LANG: child.get(LANG)}, text))
                text = ""
            continue
        if namespace in (DELAY, LEGACY_DELAY):
            message.append(element(namespace, "delay" if namespace == DELAY else "x", {"stamp": child.get("stamp")}))
            continue
        message.append(_scrubbed(_referring(child, disguise), names))
    return message


def error_inward(stanza: Element, sender: str, recipient: str, opened: Opens) -> Element:
    """An error that a customer's server sent back, as the sub-user gets it: about the message that the sub-user wrote."""
    message = _envelope(stanza, sender, recipient, opened(stanza.get("id", "")) or fresh_id())
    message.extend(child for child in stanza if child.tag == qualified(COMPONENT, "error"))
    return message


def _answering(child: Element, address: str, own: str, opened: Opens) -> Element:
    """The payload with ids that the sub-user can make sense of."""
    if child.tag not in _OTHERS_IDS and child.tag not in _ANY_IDS:
        return child
    named = opened(child.get("id", ""))
    changes = {} if named is None else {"id": named}
    if child.tag == _REPLY and child.get("to"):
        changes["to"] = address if named is None else own
    return _changed(child, changes)


def _referring(child: Element, disguise: Disguise) -> Element:
    """The payload with ids that the customer can make sense of."""
    named = child.get("id")
    if not named or (child.tag not in _OWN_IDS and child.tag not in _ANY_IDS):
        return child
    foreign = child.tag in _ANY_IDS and (named in disguise.theirs or bare(child.get("to", "")) == disguise.address)
    return child if foreign else _changed(child, {"id": disguise.seals(named)})


Names = Sequence[tuple[str, str]]
"""(what gives the sub-user away, in lower case; what stands there instead), the longest first."""


def _names(sender: str, disguise: Disguise) -> Names:
    names: Mapping[str, str] = {
        sender: disguise.user,
        bare(sender): disguise.user,
        disguise.address: disguise.customer,
    }
    quoted = {quote(name, safe=""): quote(instead, safe="") for name, instead in names.items()}
    return [(name.lower(), instead) for name, instead in {**quoted, **names}.items()]


def _scrubbed(payload: Element, names: Names) -> Element:
    """The payload without these names, in any attribute or text; the same object where none was found."""
    found = [
        value
        for part in payload.iter()
        for value in (part.text, part.tail, *part.attrib.values())
        if value and any(name in value.lower() for name, _ in names)
    ]
    return _rewritten(payload, lambda value: _replaced(value, names)) if found else payload


def _replaced(text: str, names: Names) -> str:
    for name, instead in names:
        if name in text.lower():
            text = re.sub(re.escape(name), instead.replace("\\", r"\\"), text, flags=re.IGNORECASE)
    return text


def _rewritten(payload: Element, write: Callable[[str], str]) -> Element:
    copy = Element(payload.tag, {key: write(value) for key, value in payload.attrib.items()})
    copy.text = write(payload.text) if payload.text else payload.text
    copy.tail = write(payload.tail) if payload.tail else payload.tail
    copy.extend(_rewritten(child, write) for child in payload)
    return copy


def _changed(payload: Element, attributes: Mapping[str, str]) -> Element:
    if not attributes:
        return payload
    copy = Element(payload.tag, {**payload.attrib, **attributes})
    copy.text = payload.text
    copy.extend(payload)
    return copy


def _envelope(stanza: Element, sender: str, recipient: str, stanza_id: str) -> Element:
    attributes = {"from": sender, "to": recipient, "id": stanza_id}
    for name in ("type", LANG):
        if value := stanza.get(name):
            attributes[name] = value
    return Element(MESSAGE, attributes)


def _namespace(child: Element) -> str:
    return child.tag[1:].partition("}")[0]
