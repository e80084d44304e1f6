"""What becomes of a message between two users who talk under their real names (spec/30-levels.md, Real name)."""

from xml.etree.ElementTree import Element

from stanzas.build import element, fresh_id, message
from stanzas.namespaces import COMPONENT, NICK, PUBSUB_EVENT, ROSTER_EXCHANGE, XML, qualified
from stanzas.vcards import Card, nick_event

_BODY = qualified(COMPONENT, "body")
_ENCRYPTED = (
    qualified("urn:xmpp:eme:0", "encryption"),
    qualified("urn:xmpp:omemo:2", "encrypted"),
    qualified("eu.siacs.conversations.axolotl", "encrypted"),
)
_LEFT_OUT = tuple(
    f"{{{namespace}}}"
    for namespace in (
        NICK,
        PUBSUB_EVENT,
        # Converse.js 14 adds all contacts of it without asking, whoever sends it.
        ROSTER_EXCHANGE,
        "http://jabber.org/protocol/address",
        "urn:xmpp:carbons:2",
        "urn:xmpp:mam:2",
        "vcard-temp:x:update",
    )
)
"""What only the address itself, or a server, may say; the nick is ours to set."""
_STANZA_ID = qualified("urn:xmpp:sid:0", "stanza-id")
_LANG = qualified(XML, "lang")


def says_something(stanza: Element) -> bool:
    """Whether it has a text, plain or encrypted: no lone chat state, receipt or marker."""
    return any((child.tag == _BODY and child.text) or child.tag in _ENCRYPTED for child in stanza)


def relayed(stanza: Element, sender: str, recipient: str, nick: str) -> Element:
    """The message as it comes from `sender`, a face, with a nick (XEP-0172; empty: none). Its id is kept."""
    built = _as_from(stanza, sender, recipient)
    built.extend(child for child in stanza if not child.tag.startswith(_LEFT_OUT) and child.tag != _STANZA_ID)
    if nick:
        built.append(element(NICK, "nick", text=nick))
    return built


def returned(stanza: Element, sender: str, recipient: str) -> Element:
    """The error of a message that was relayed, for whoever wrote it: the error alone, not what was written."""
    built = _as_from(stanza, sender, recipient)
    built.extend(stanza.findall(qualified(COMPONENT, "error")))
    return built


def naming(sender: str, recipient: str, name: str) -> Element:
    """The event by which Gajim learns whom it talks with."""
    return message(sender, recipient, None, nick_event(Card(name)), kind="headline")


def _as_from(stanza: Element, sender: str, recipient: str) -> Element:
    kept = {name: stanza.get(name) for name in ("type", _LANG)}
    return element(COMPONENT, "message", {"from": sender, "to": recipient, "id": stanza.get("id") or fresh_id(), **kept})
