"""Contact cards: vcard-temp (XEP-0054), vCard4 by IQ and by PEP node (XEP-0292), the nickname by PEP node (XEP-0172)."""

import base64
import binascii
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes
from xml.etree.ElementTree import Element

from stanzas.build import element
from stanzas.files import checked_link
from stanzas.namespaces import NICK, PUBSUB, PUBSUB_EVENT, VCARD4, VCARD4_NODE, VCARD_TEMP, qualified

LARGEST_PHOTO = 64 * 1024
"""Bytes of a photo that is kept itself."""
CARD_NODES = (VCARD4_NODE, NICK)
"""The PEP nodes that a card has."""
_DATA = re.compile(r"data:(image/(?:png|jpeg|gif|webp))(;base64)?,(.*)", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Card:
    """What a card shows: a real name (`fn`, with it the other two) or only a nickname. `photo` is a link, or a `data:` one of an image."""

    nickname: str = ""
    fn: str = ""
    given: str = ""
    family: str = ""
    photo: str = ""


def checked_photo(text: str) -> str:
    """The photo that a person means: a link, or an image itself as a `data:` link (then base64, at most 64 KiB). Raises ValueError."""
    typed = "".join(text.split())
    match = _DATA.fullmatch(typed)
    if match is None:
        return checked_link(typed)
    kind, encoded, rest = match.groups()
    try:
        image = base64.b64decode(rest, validate=True) if encoded else unquote_to_bytes(rest)
    except binascii.Error:
        raise ValueError("the data link's base64 is broken") from None
    if not 0 < len(image) <= LARGEST_PHOTO:
        raise ValueError(f"the image has {len(image)} bytes: at most {LARGEST_PHOTO} are kept, and a link to a larger one will do")
    return f"data:{kind.lower()};base64,{base64.b64encode(image).decode()}"


def vcard_temp(card: Card) -> Element:
    """`<vCard/>` (XEP-0054)."""
    vcard = element(VCARD_TEMP, "vCard")
    if card.fn:
        vcard.append(element(VCARD_TEMP, "FN", text=card.fn))
        n = element(VCARD_TEMP, "N")
        n.append(element(VCARD_TEMP, "FAMILY", text=card.family))
        n.append(element(VCARD_TEMP, "GIVEN", text=card.given))
        vcard.append(n)
    if card.nickname:
        vcard.append(element(VCARD_TEMP, "NICKNAME", text=card.nickname))
    if card.photo:
        photo = element(VCARD_TEMP, "PHOTO")
        if match := _DATA.fullmatch(card.photo):
            photo.append(element(VCARD_TEMP, "TYPE", text=match[1]))
            photo.append(element(VCARD_TEMP, "BINVAL", text=match[3]))
        else:
            photo.append(element(VCARD_TEMP, "EXTVAL", text=card.photo))
        vcard.append(photo)
    return vcard


def vcard4(card: Card) -> Element:
    """`<vcard/>` (XEP-0292)."""
    vcard = element(VCARD4, "vcard")
    if card.fn:
        vcard.append(_property("fn", "text", card.fn))
        n = element(VCARD4, "n")
        n.append(element(VCARD4, "surname", text=card.family))
        n.append(element(VCARD4, "given", text=card.given))
        vcard.append(n)
    if card.nickname:
        vcard.append(_property("nickname", "text", card.nickname))
    if card.photo:
        vcard.append(_property("photo", "uri", card.photo))
    return vcard


def requested_node(pubsub: Element) -> str | None:
    """The node of a PEP items request; None: it is another request."""
    items = pubsub.find(qualified(PUBSUB, "items"))
    return None if items is None else items.get("node")


def node_answer(node: str, card: Card) -> Element:
    """The answer to a PEP items request for one of `CARD_NODES`."""
    pubsub = element(PUBSUB, "pubsub")
    pubsub.append(_items(PUBSUB, node, vcard4(card) if node == VCARD4_NODE else _nick(card)))
    return pubsub


def nick_event(card: Card) -> Element:
    """The PEP event by which Gajim 1.7.3 names an address; it takes it without a subscription and ignores `<nick/>` in messages."""
    event = element(PUBSUB_EVENT, "event")
    event.append(_items(PUBSUB_EVENT, NICK, _nick(card)))
    return event


def _nick(card: Card) -> Element:
    return element(NICK, "nick", text=card.fn or card.nickname)


def _items(namespace: str, node: str, payload: Element) -> Element:
    items = element(namespace, "items", {"node": node})
    item = element(namespace, "item", {"id": "current"})
    item.append(payload)
    items.append(item)
    return items


def _property(name: str, kind: str, value: str) -> Element:
    built = element(VCARD4, name)
    built.append(element(VCARD4, kind, text=value))
    return built
