"""Reading stanzas, whatever the stream's default namespace (jabber:client or jabber:component:accept)."""

from collections.abc import Iterator
from typing import cast
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

Element = ET.Element

CARBONS = "urn:xmpp:carbons:2"
DATA = "jabber:x:data"
COMMANDS = "http://jabber.org/protocol/commands"
DISCO_INFO = "http://jabber.org/protocol/disco#info"
DISCO_ITEMS = "http://jabber.org/protocol/disco#items"
LINK = "urn:x-rapport:link:0"
MARKERS = "urn:xmpp:chat-markers:0"
PING = "urn:xmpp:ping"
ROSTER = "jabber:iq:roster"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
STREAM_MANAGEMENT = "urn:xmpp:sm:3"
STREAMS = "http://etherx.jabber.org/streams"
STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"

__all__ = ["escape", "quoteattr"]


def name(element: Element) -> str:
    """The name without the namespace."""
    return element.tag.rpartition("}")[2]


def namespace(element: Element) -> str:
    return element.tag[1:].partition("}")[0] if element.tag.startswith("{") else ""


def children(element: Element, wanted: str, of: str | None = None) -> Iterator[Element]:
    """The child elements of that name; `of`: their namespace (None: any)."""
    return (each for each in element if name(each) == wanted and (of is None or namespace(each) == of))


def child(element: Element, wanted: str, of: str | None = None) -> Element | None:
    return next(children(element, wanted, of), None)


def text(element: Element, wanted: str, of: str | None = None) -> str | None:
    """The text of that child; '' if it is empty, None if it is not there."""
    found = child(element, wanted, of)
    return None if found is None else found.text or ""


def body(element: Element) -> str | None:
    return text(element, "body", namespace(element))


def bare(jid: str) -> str:
    return jid.partition("/")[0].lower()


def resource(jid: str) -> str:
    return jid.partition("/")[2]


def sender(element: Element) -> str:
    """The bare JID that it is from ('' if it does not say)."""
    return bare(element.get("from", ""))


def show(presence: Element) -> str | None:
    """online, chat, away, xa, dnd or offline; None for a stanza that is neither available nor unavailable."""
    if name(presence) != "presence":
        return None
    kind = presence.get("type")
    if kind == "unavailable":
        return "offline"
    return None if kind else text(presence, "show") or "online"


def condition(stanza: Element) -> str | None:
    """The error condition of a stanza of type error; None if it is none."""
    if stanza.get("type") != "error":
        return None
    error = child(stanza, "error")
    if error is None:
        return "error-without-error-element"
    return next((name(each) for each in error if namespace(each) == STANZAS and name(each) != "text"), "")


def dump(element: Element) -> str:
    return ET.tostring(element, encoding="unicode")


class Incoming:
    """A pull parser for one stream: bytes in, the root's start and each complete first-level element out."""

    def __init__(self) -> None:
        self._parser: ET.XMLPullParser[ET.Element] = ET.XMLPullParser(["start", "end"])
        self._depth = 0
        self.root: Element | None = None

    def feed(self, data: bytes) -> Iterator[Element]:
        """The complete elements, in order.

        Raises:
            xml.etree.ElementTree.ParseError: the stream is not well-formed.
        """
        self._parser.feed(data)
        for event, element in cast(Iterator[tuple[str, Element]], self._parser.read_events()):
            if event == "start":
                if self._depth == 0:
                    self.root = element
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth == 1:
                    assert self.root is not None
                    self.root.remove(element)
                    element.tail = None
                    yield element
