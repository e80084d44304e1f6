"""What the ledger holds: who wrote to whom and when, and what was read. No text.

A fact is about an ordered pair (sender, recipient) of bare JIDs, as the server normalised them. Instants are UNIX seconds (UTC).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """What kind of message this is: the types of spec/40-inbox.md, first match; stored as its number."""

    DIRECT = 0
    ATTENTION = 1
    MENTION = 2
    REPLY = 3
    INVITE = 4
    FILE = 5
    GROUP = 6
    NOTIFICATION = 7


@dataclass(frozen=True, slots=True)
class ArchiveId:
    """A message's id in the archive of one bare JID (XEP-0359 stanza-id: `by` and `id`)."""

    by: str
    id: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message that counts (spec/00-overview.md, What counts as a message). A correction is activity, but nothing new to read."""

    sender: str
    recipient: str
    at: float
    id: str = ""
    archive: ArchiveId | None = None
    kind: Kind = Kind.DIRECT
    correction: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """`reader` has read what `writer` sent up to the message named by its `id` (XEP-0333) or its archive id (XEP-0490)."""

    reader: str
    writer: str
    at: float
    id: str = ""
    archive: ArchiveId | None = None


@dataclass(frozen=True, slots=True)
class Bounce:
    """The message `id` from `sender` to `recipient` came back as an error: it does not count after all."""

    sender: str
    recipient: str
    at: float
    id: str


@dataclass(frozen=True, slots=True)
class RoomMessage:
    """A message in a room: none that counts between users (spec/00-overview.md), but the inbox's (spec/40-inbox.md)."""

    sender: str
    """Who wrote it, by their real JID."""
    room: str
    at: float
    id: str = ""
    archive: ArchiveId | None = None
    """Its id in the room's archive."""
    kind: Kind = Kind.GROUP
    named: tuple[tuple[str, Kind], ...] = ()
    """For which users of served hosts it is more: MENTION or REPLY."""


@dataclass(frozen=True, slots=True)
class RoomRead:
    """`reader` has read what was said in a room up to the message with this id: the room's archive's, or else the stanza's."""

    reader: str
    room: str
    at: float
    id: str


Fact = Message | Read | Bounce | RoomMessage | RoomRead


def parties(fact: Fact) -> tuple[str, str]:
    """Whose pair a fact is of: who wrote, or whose words were read, and to whom."""
    match fact:
        case Read():
            return fact.writer, fact.reader
        case RoomRead():
            return fact.room, fact.reader
        case RoomMessage():
            return fact.sender, fact.room
        case _:
            return fact.sender, fact.recipient


class Pair(NamedTuple):
    """What the ledger knows of sender → recipient, derived from the facts alone; 0.0 means never.

    Every value is a maximum over instants, so that the order of arrival does not matter.
    """

    sender: str
    recipient: str
    last_at: float = 0.0
    """The latest message or correction."""
    new_at: float = 0.0
    """The latest message that was new to the recipient (no correction)."""
    read_at: float = 0.0
    """The recipient has read everything up to this instant, by marker or read state (an answer is in the reverse pair)."""


class Score(NamedTuple):
    """What the messages sender → recipient of one epoch weigh together, exactly (rules.levels.weight, score_at)."""

    sender: str
    recipient: str
    epoch: int
    total: int
