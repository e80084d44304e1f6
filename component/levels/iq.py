"""What a user's face answers to IQs (spec/30-levels.md, Asking): contact lists, files, cards, and what it can do."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from xml.etree.ElementTree import Element

from component.levels.service import Levels
from component.levels.store import Leveled
from component.ports import IqAnswer, StanzaError
from component.rules.addresses import Address, Face
from component.rules.doors import LEVELS
from component.rules.paging import Asked, page
from stanzas import namespaces
from stanzas.build import element
from stanzas.files import file_sharing, files_answer, files_query
from stanzas.jid import bare
from stanzas.levels import Listed, contacts_answer, contacts_query
from stanzas.namespaces import (
    DISCO_INFO,
    DISCO_ITEMS,
    FILES,
    PUBSUB,
    ROSTER,
    RSM,
    VCARD4,
    VCARD_TEMP,
    qualified,
)
from stanzas.rsm import PageRequest, page_answer, page_request
from stanzas.serialise import serialise
from stanzas.vcards import CARD_NODES, node_answer, requested_node, vcard4, vcard_temp

ROOM = 200_000
"""Bytes of a page of contacts or files: clients and servers end a stream at a stanza of 256 KiB (Prosody's limit for clients)."""
NODE = "levels"
"""The disco node with the levels that the asker may see; those are `levels/1` to `levels/5`, with contacts as items."""
T = TypeVar("T")
_FEATURES = (DISCO_INFO, DISCO_ITEMS, ROSTER, RSM, VCARD_TEMP, VCARD4, PUBSUB, namespaces.LEVELS, FILES)


@dataclass(frozen=True, slots=True)
class _Question:
    """Bare JIDs: who asks, of which user, at which face; and the payload."""

    asker: str
    user: str
    face: str
    payload: Element


_Answer = Callable[[_Question], Awaitable[Element]]
"""The payload of the result. Raises ValueError for a malformed question."""


def iqs(levels: Levels) -> Mapping[tuple[str, str], IqAnswer]:
    """Who answers which IQ to a face (ports.Handler.iqs)."""
    answers = _Answers(levels)
    return {
        ("get", qualified(ROSTER, "query")): _on_face(answers.contacts),
        ("get", qualified(FILES, "files")): _on_face(answers.files),
        ("get", qualified(VCARD_TEMP, "vCard")): _on_face(answers.vcard_temp),
        ("get", qualified(VCARD4, "vcard")): _on_face(answers.vcard4),
        ("get", qualified(PUBSUB, "pubsub")): _on_face(answers.node),
        ("get", qualified(DISCO_INFO, "query")): _on_face(answers.disco_info),
        ("get", qualified(DISCO_ITEMS, "query")): _on_face(answers.disco_items),
    }


def _on_face(answer: _Answer) -> IqAnswer:
    async def answered(iq: Element, address: Address) -> Element:
        if not isinstance(address, Face):
            raise StanzaError("item-not-found")
        try:
            return await answer(_Question(bare(iq.get("from", "")), address.owner, bare(iq.get("to", "")), iq[0]))
        except ValueError as error:
            raise StanzaError("bad-request", str(error)) from None

    return answered


class _Answers:
    def __init__(self, levels: Levels) -> None:
        self._levels = levels

    async def contacts(self, question: _Question) -> Element:
        asked = contacts_query(question.payload)
        contacts = await self._levels.contacts_of(question.asker, question.user, asked.level, asked.label)
        return _paged(contacts, asked.page, _jid, Listed.size, contacts_answer)

    async def files(self, question: _Question) -> Element:
        level, asked = files_query(question.payload), page_request(question.payload)
        files = await self._levels.files_of(question.asker, question.user, level)
        return _paged(files, asked, _number, _size, lambda some: files_answer(level, [shared.file for shared in some]))

    async def vcard_temp(self, question: _Question) -> Element:
        return vcard_temp(await self._levels.card(question.asker, question.user))

    async def vcard4(self, question: _Question) -> Element:
        return vcard4(await self._levels.card(question.asker, question.user))

    async def node(self, question: _Question) -> Element:
        node = requested_node(question.payload)
        if node is None:
            raise StanzaError("feature-not-implemented")
        if node not in CARD_NODES:
            raise StanzaError("item-not-found")
        return node_answer(node, await self._levels.card(question.asker, question.user))

    async def disco_info(self, question: _Question) -> Element:
        """The same for every user, known or not."""
        node = question.payload.get("node")
        info = element(DISCO_INFO, "query", {"node": node})
        if not node:
            info.append(element(DISCO_INFO, "identity", {"category": "account", "type": "registered", "name": question.user}))
            info.extend(element(DISCO_INFO, "feature", {"var": feature}) for feature in _FEATURES)
        elif node == NODE or _level_of(node) is not None:
            info.append(element(DISCO_INFO, "identity", {"category": "hierarchy", "type": "branch"}))
        else:
            raise StanzaError("item-not-found")
        return info

    async def disco_items(self, question: _Question) -> Element:
        node = question.payload.get("node")
        items = element(DISCO_ITEMS, "query", {"node": node})
        if not node:
            items.append(_item(question.face, NODE, "Levels"))
        elif node == NODE:
            levels = await self._levels.levels_of(question.asker, question.user)
            items.extend(_item(question.face, f"{NODE}/{level}", f"Level {level}") for level in levels)
        elif (level := _level_of(node)) is not None:
            asked = page_request(question.payload)
            contacts = await self._levels.contacts_of(question.asker, question.user, level, None)
            return _paged(contacts, asked, _jid, Listed.size, lambda some: _listed(node, some))
        else:
            raise StanzaError("item-not-found")
        return items


def _listed(node: str, contacts: Sequence[Listed]) -> Element:
    items = element(DISCO_ITEMS, "query", {"node": node})
    items.extend(_item(contact.jid, None, contact.name or None) for contact in contacts)
    return items


def _item(jid: str, node: str | None, name: str | None) -> Element:
    return element(DISCO_ITEMS, "item", {"jid": jid, "node": node, "name": name})


def _level_of(node: str) -> int | None:
    """The level that a node is of; None: there is no such node."""
    return next((level for level in LEVELS if node == f"{NODE}/{level}"), None)


def _jid(contact: Listed) -> str:
    return contact.jid


def _number(shared: Leveled) -> str:
    return f"{shared.number:020}"


def _size(shared: Leveled) -> int:
    return len(serialise(file_sharing(shared.file)).encode())


def _paged(
    items: Sequence[T],
    asked: PageRequest | None,
    key: Callable[[T], str],
    size: Callable[[T], int],
    build: Callable[[Sequence[T]], Element],
) -> Element:
    """The items of one page, with what XEP-0059 says of it if it was asked for or is not the whole.

    They are in the order of their keys; `size`: bytes.
    """
    request = asked or PageRequest()
    keys = [key(item) for item in items]
    shown = page(keys, Asked(request.most, request.after, request.before, request.index), ROOM, lambda index: size(items[index]))
    answer = build([items[index] for index in shown])
    if asked is not None or len(shown) < len(items):
        first = (keys[shown[0]], shown[0]) if shown else None
        answer.append(page_answer(first, keys[shown[-1]] if shown else None, len(items)))
    return answer
