"""S4's contact lists: the query for a level of them, the roster that answers, and contacts as links (docs/levels.md)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement

from stanzas.build import element
from stanzas.namespaces import LEVELS, ROSTER, ROSTER_EXCHANGE, qualified
from stanzas.rsm import PageRequest, page_request

_WHOLE = re.compile(r"[+-]?[0-9]+")
_LEVEL = qualified(LEVELS, "level")
_NODE_ALLOWED = "!$()*+,;="
"""What RFC 5122, 2.2 lets a local part have in a URI, besides letters, digits and `-._~`."""


@dataclass(frozen=True, slots=True)
class ContactsQuery:
    """A roster get on a user's face. None: of all levels; with any label; no page in particular."""

    level: int | None = None
    label: str | None = None
    page: PageRequest | None = None


def contacts_query(query: Element) -> ContactsQuery:
    """Raises ValueError if it is malformed."""
    asked = query.find(_LEVEL)
    if asked is None:
        return ContactsQuery(page=page_request(query))
    return ContactsQuery(level_of(asked), asked.get("label") or None, page_request(query))


NO_LEVEL = 0
"""What a number that is none of 1 to 5 means: nobody has it, so that it is open to nobody."""


def level_of(asked: Element) -> int | None:
    """The level that the attribute `n` names, or NO_LEVEL; None: it is not there. Raises ValueError if it is no whole number."""
    text = asked.get("n")
    if text is None:
        return None
    if _WHOLE.fullmatch(text) is None:
        raise ValueError(f"n is no whole number: {text!r}")
    return int(text) if text in ("1", "2", "3", "4", "5") else NO_LEVEL


@dataclass(frozen=True, slots=True)
class Listed:
    """A contact as somebody else sees it; `name` is empty where names are not shared."""

    jid: str
    name: str
    level: int
    labels: tuple[str, ...] = ()

    @property
    def groups(self) -> tuple[str, ...]:
        return (f"Level {self.level}", *self.labels)

    def size(self) -> int:
        """About as many bytes as `item` takes when it is written."""
        texts = (self.jid, self.name, *self.groups)
        return sum(len(text.encode(errors="replace")) for text in texts) + 60 + 20 * len(texts)


def contacts_answer(contacts: Sequence[Listed]) -> Element:
    """The roster query that answers (RFC 6121, 2.1.3). It says nothing of subscriptions."""
    query = element(ROSTER, "query")
    query.extend(_item(ROSTER, contact) for contact in contacts)
    return query


def exchange(contacts: Sequence[Listed]) -> Element:
    """Contacts as suggestions to add (XEP-0144): only for those who asked for it, as Converse.js 14 adds them all at once."""
    x = element(ROSTER_EXCHANGE, "x")
    for contact in contacts:
        item = _item(ROSTER_EXCHANGE, contact)
        item.set("action", "add")
        x.append(item)
    return x


def roster_link(jid: str) -> str:
    """The URI that adds a contact (RFC 5122; XEP-0147, `roster`)."""
    local, at, domain = jid.rpartition("@")
    return f"xmpp:{quote(local, safe=_NODE_ALLOWED)}{at}{quote(domain, safe='[]:')}?roster"


def _item(namespace: str, contact: Listed) -> Element:
    # Built by hand: a list has thousands of these, and their texts are what the server or a command has let pass already.
    item = Element(qualified(namespace, "item"), {"jid": contact.jid, "name": contact.name} if contact.name else {"jid": contact.jid})
    tag = qualified(namespace, "group")
    for group in contact.groups:
        SubElement(item, tag).text = group
    return item
