"""A reduced message of the link (docs/link.md, 3) as the values that rules/messages.py and rules/rooms.py judge."""

from collections.abc import Iterable
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from component.rules.facts import ArchiveId
from component.rules.messages import Delay, Tapped
from component.rules.rooms import Member, Said
from stanzas import link
from stanzas.jid import bare
from stanzas.namespaces import CLIENT, DELAY, FILE_SHARING, LEGACY_DELAY, OOB, qualified

GROUPCHAT = "groupchat"
"""The type of a message in a room."""
_OMEMO = ("urn:xmpp:omemo:2", "eu.siacs.conversations.axolotl")
_BODY = qualified(CLIENT, "body")
_ENCRYPTION = qualified("urn:xmpp:eme:0", "encryption")
_REPLACE = qualified("urn:xmpp:message-correct:0", "replace")
_RETRACT = tuple(qualified(f"urn:xmpp:message-retract:{version}", "retract") for version in (0, 1))
_FASTEN = qualified("urn:xmpp:fasten:0", "apply-to")
_DISPLAYED = qualified("urn:xmpp:chat-markers:0", "displayed")
_CARBONS = tuple(qualified("urn:xmpp:carbons:2", name) for name in ("sent", "received"))
_RESULT = qualified("urn:xmpp:mam:2", "result")
_STANZA_ID = qualified("urn:xmpp:sid:0", "stanza-id")
_ATTENTION = qualified("urn:xmpp:attention:0", "attention")
_REPLY = qualified("urn:xmpp:reply:0", "reply")
_REFERENCE = qualified("urn:xmpp:reference:0", "reference")
_INVITE = qualified("jabber:x:conference", "x")
_FILES = (qualified(OOB, "x"), qualified(FILE_SHARING, "file-sharing"))


def tapped(message: Element, at: float) -> Tapped:
    """`at`: when it arrived at the server, UNIX seconds."""
    tags = {child.tag for child in message}
    encrypted = [message.find(qualified(namespace, "encrypted")) for namespace in _OMEMO]
    omemo = [element for element in encrypted if element is not None]
    reply = message.find(_REPLY)
    return Tapped(
        sender=bare(message.get("from", "")),
        recipient=bare(message.get("to", "")),
        at=at,
        id=message.get("id", ""),
        type=message.get("type", "normal"),
        body=_BODY in tags,
        encryption=_ENCRYPTION in tags,
        omemo=any(_has_payload(element) for element in omemo) if omemo else None,
        delays=tuple(_delays(message)),
        replaces=_attribute(message, _REPLACE, "id"),
        retracts=not tags.isdisjoint(_RETRACT) or _fastens_a_retraction(message),
        displayed=_attribute(message, _DISPLAYED, "id"),
        carbon=not tags.isdisjoint(_CARBONS),
        mam=_RESULT in tags,
        archives=tuple(ArchiveId(each.get("by", ""), each.get("id", "")) for each in message.iter(_STANZA_ID)),
        attention=_ATTENTION in tags,
        reply=reply is not None,
        reply_to=bare(reply.get("to", "")) if reply is not None else "",
        invite=_INVITE in tags,
        file=not tags.isdisjoint(_FILES),
    )


def said(message: Element, at: float, members: Iterable[link.Member]) -> Said:
    """A message in a room; `at` as in `tapped`."""
    return Said(
        tapped(message, at),
        "\n".join(body.text or "" for body in message.iter(_BODY)),
        tuple(_jid_of(each.get("uri", "")) for each in message.iter(_REFERENCE) if each.get("type") == "mention"),
        _attribute(message, _REPLY, "to"),
        tuple(Member(member.jid, member.nick or "") for member in members),
    )


def _jid_of(uri: str) -> str:
    """The JID of an `xmpp:` URI (RFC 5122); empty: it is none. Not normalised: what differs in that names nobody."""
    scheme, _, rest = uri.partition(":")
    return unquote(rest.partition("?")[0].partition("#")[0]) if scheme == "xmpp" else ""


def _has_payload(encrypted: Element) -> bool:
    return any(child.tag.endswith("}payload") for child in encrypted)


def _fastens_a_retraction(message: Element) -> bool:
    """The way of XEP-0424 before version 0.3."""
    return any(child.tag.endswith("}retract") for fastening in message.findall(_FASTEN) for child in fastening)


def _delays(message: Element) -> list[Delay]:
    tags = (qualified(DELAY, "delay"), qualified(LEGACY_DELAY, "x"))
    return [Delay(child.get("stamp", ""), child.get("from", "")) for child in message if child.tag in tags]


def _attribute(message: Element, tag: str, name: str) -> str:
    element = message.find(tag)
    return element.get(name, "") if element is not None else ""
