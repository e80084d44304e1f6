"""S4: which levels a contact may look into (spec/30-levels.md, What may be opened)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

LEVELS = (1, 2, 3, 4, 5)
"""Closest first."""


class Door(Enum):
    """What a user opens to contacts, level by level."""

    CONTACTS = "contacts"
    REAL_NAME = "real-name"
    FILES = "files"


NOTHING: frozenset[int] = frozenset()
"""What is open by default, and what a stranger may see."""


def visible(opened: frozenset[int], level: int | None) -> frozenset[int]:
    """The levels that a contact of this level may look into: the open ones that are not closer. None: a stranger, who sees nothing."""
    return NOTHING if level is None else frozenset(each for each in opened if level <= each)


def visible_of(opened: frozenset[int], level: int | None, asked: int | None) -> frozenset[int]:
    """As `visible`, of the one level that was asked for (None: of all)."""
    seen = visible(opened, level)
    return seen if asked is None else seen & {asked}


@dataclass(frozen=True, slots=True)
class Effect:
    """How many contacts see something that they did not see before, and how many lose something that they saw. One contact may do both."""

    gain: int
    lose: int


def effect(door: Door, before: frozenset[int], after: frozenset[int], levels: Iterable[int]) -> Effect:
    """What it does to contacts of these levels when a door changes from `before` to `after`."""
    gain = lose = 0
    for level in levels:
        old, new = _behind(door, before, level), _behind(door, after, level)
        gain += bool(new - old)
        lose += bool(old - new)
    return Effect(gain, lose)


def _behind(door: Door, opened: frozenset[int], level: int) -> frozenset[int]:
    """What a contact of this level sees there, by level: there is but one real name, and whoever is let in sees it."""
    seen = visible(opened, level)
    return frozenset(LEVELS) if seen and door is Door.REAL_NAME else seen
