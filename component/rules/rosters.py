"""A user's roster and block list, as values (RFC 6121, 2; XEP-0191)."""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple


class Subscription(Enum):
    NONE = "none"
    TO = "to"
    FROM = "from"
    BOTH = "both"

    @property
    def sees_me(self) -> bool:
        """Whether the contact gets the user's presence."""
        return self in (Subscription.FROM, Subscription.BOTH)


class Item(NamedTuple):
    jid: str
    subscription: Subscription
    name: str = ""
    groups: frozenset[str] = frozenset()


Roster = Mapping[str, Item]
"""Bare JID → item."""


def matching(roster: Roster, text: str) -> tuple[str, ...]:
    """The contacts whose name or local part is this text, in any case."""
    wanted = text.strip().casefold()
    return tuple(item.jid for item in roster.values() if wanted in (item.name.casefold(), item.jid.rpartition("@")[0].casefold()))


def group_of(roster: Roster, text: str) -> str:
    """The group that is meant: the only one of this name in another case, where there is none in this case; else as typed."""
    groups = {group for item in roster.values() for group in item.groups}
    alike = [group for group in groups if group.casefold() == text.casefold()]
    return alike[0] if text not in groups and len(alike) == 1 else text


def is_blocked(blocks: frozenset[str], jid: str) -> bool:
    """Whether a bare JID is blocked: itself, or its whole domain (XEP-0191, 3.4; a block of one resource does not hide a user)."""
    return bool(blocks) and (jid in blocks or jid.partition("@")[2] in blocks)
