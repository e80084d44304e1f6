"""A user's roster and block list, as values (RFC 6121, 2; XEP-0191)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Subscription(Enum):
    NONE = "none"
    TO = "to"
    FROM = "from"
    BOTH = "both"

    @property
    def sees_me(self) -> bool:
        """Whether the contact gets the user's presence."""
        return self in (Subscription.FROM, Subscription.BOTH)


@dataclass(frozen=True, slots=True)
class Item:
    jid: str
    subscription: Subscription
    name: str = ""
    groups: frozenset[str] = frozenset()


Roster = Mapping[str, Item]
"""Bare JID → item."""


def is_blocked(blocks: frozenset[str], jid: str) -> bool:
    """Whether a bare JID is blocked: itself, or its whole domain (XEP-0191, 3.4; a block of one resource does not hide a user)."""
    return bool(blocks) and (jid in blocks or jid.partition("@")[2] in blocks)
