"""Pages of a list that is too long for one stanza (XEP-0059), as a pure decision."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asked:
    """Which page was asked for (XEP-0059, 2): at most one of `after`, `before` and `index`; none of them: the first one."""

    most: int | None = None
    """Items at most; 0: only their number."""
    after: str | None = None
    before: str | None = None
    """Empty: the last page."""
    index: int | None = None


def page(keys: Sequence[str], asked: Asked, room: int, size: Callable[[int], int]) -> range:
    """Which of the items to send; `keys` are theirs, ascending.

    The item with index i takes `size(i)` of `room`: a page ends where the next one does not fit, but has at least one item if any is left.
    A key that is gone by now still has its place, so that a list may change between two pages.
    """
    backwards = asked.before is not None
    if asked.before is not None:
        start = bisect_left(keys, asked.before) if asked.before else len(keys)
    elif asked.after is not None:
        start = bisect_right(keys, asked.after)
    else:
        start = min(asked.index or 0, len(keys))
    wanted = range(start - 1, -1, -1) if backwards else range(start, len(keys))
    if asked.most is not None:
        wanted = wanted[: asked.most]
    count = 0
    for index in wanted:
        room -= size(index)
        if room < 0 and count:
            break
        count += 1
    return range(start - count, start) if backwards else range(start, start + count)
