"""Result set management (XEP-0059): which page a query asks for, and which one an answer holds."""

import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from stanzas.build import element
from stanzas.namespaces import RSM, qualified

SET = qualified(RSM, "set")
_WHOLE = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The page that a <set/> asks for; what it does not say is None. `before` may be empty: the last page."""

    most: int | None = None
    after: str | None = None
    before: str | None = None
    index: int | None = None


def page_request(query: Element) -> PageRequest | None:
    """What the <set/> of a query asks for; None: it has none. Raises ValueError if that is malformed."""
    asked = query.find(SET)
    if asked is None:
        return None
    after, before = _text(asked, "after"), _text(asked, "before")
    index = _whole(asked, "index")
    if sum(each is not None for each in (after or None, before, index)) > 1:
        raise ValueError("set: more than one of after, before and index")
    # An empty <after/> is how some libraries ask for the first page.
    return PageRequest(_whole(asked, "max"), after or None, before, index)


def page_answer(first: tuple[str, int] | None, last: str | None, count: int) -> Element:
    """The <set/> of an answer: the ids of its first item (with its index) and of its last, and the number of all items."""
    answer = element(RSM, "set")
    if first is not None:
        answer.append(element(RSM, "first", {"index": str(first[1])}, first[0]))
    if last is not None:
        answer.append(element(RSM, "last", text=last))
    answer.append(element(RSM, "count", text=str(count)))
    return answer


def _text(asked: Element, name: str) -> str | None:
    child = asked.find(qualified(RSM, name))
    return None if child is None else child.text or ""


def _whole(asked: Element, name: str) -> int | None:
    text = _text(asked, name)
    if text is None:
        return None
    if _WHOLE.fullmatch(text.strip()) is None:
        raise ValueError(f"set: {name} is no whole number: {text!r}")
    return int(text)
