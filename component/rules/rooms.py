"""What a message in a room says: who wrote, what kind, and for which of the members it is more than talk (spec/40-inbox.md, Weight)."""

from collections.abc import Collection
from dataclasses import dataclass, field

from component.rules.facts import ArchiveId, Kind, Read, RoomMessage, RoomRead
from component.rules.messages import Tapped, counts


@dataclass(frozen=True, slots=True)
class Member:
    """A user of a served host who is in the room, or belongs to it. `nick`: empty where they have none."""

    jid: str
    nick: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """A message that a room passed on; `tapped.sender` is the author's real bare JID, `tapped.recipient` the room."""

    tapped: Tapped
    text: str = field(default="", repr=False)
    """What its bodies say. It goes no further than this."""
    references: tuple[str, ...] = ()
    """The JIDs that its XEP-0372 mentions name."""
    answers: str = ""
    """The JID that its XEP-0461 `<reply/>` names as the author of what is replied to."""
    members: tuple[Member, ...] = ()


def room_facts(said: Said) -> tuple[RoomMessage | RoomRead, ...]:
    """The facts of a message in a room, and of a displayed marker there. A correction of it is none: nothing new to read."""
    tapped = said.tapped
    if tapped.carbon or tapped.mam:
        return ()
    facts: list[RoomMessage | RoomRead] = []
    if counts(tapped) and not tapped.replaces:
        archive = next((each for each in tapped.archives if each.by == tapped.recipient and each.id), None)
        facts.append(RoomMessage(tapped.sender, tapped.recipient, tapped.at, tapped.id, archive, _kind(tapped), _named(said)))
    if tapped.displayed:
        facts.append(RoomRead(tapped.sender, tapped.recipient, tapped.at, tapped.displayed))
    return tuple(facts)


def read_state(reader: str, contact: str, at: float, archive: ArchiveId, served: Collection[str]) -> Read | RoomRead:
    """What a published read state (XEP-0490) says was read: a room names its own archive, and no user of a served host is one."""
    if archive.by == contact and contact.rpartition("@")[2] not in served:
        return RoomRead(reader, contact, at, archive.id)
    return Read(reader, contact, at, archive=archive)


def _kind(tapped: Tapped) -> Kind:
    if tapped.attention:
        return Kind.ATTENTION
    if tapped.invite:
        return Kind.INVITE
    return Kind.FILE if tapped.file else Kind.GROUP


def _named(said: Said) -> tuple[tuple[str, Kind], ...]:
    text = said.text.casefold()
    found: dict[str, Kind] = {}
    for member in said.members:
        if member.jid != said.tapped.sender:
            kind = _for_member(said, member, text)
            if kind is not None and found.get(member.jid) is not Kind.MENTION:
                found[member.jid] = kind
    return tuple(sorted(found.items()))


def _for_member(said: Said, member: Member, text: str) -> Kind | None:
    occupant = f"{said.tapped.recipient}/{member.nick}"
    if member.jid in said.references or occupant in said.references or has_word(text, member.nick.casefold()):
        return Kind.MENTION
    return Kind.REPLY if said.answers in (occupant, member.jid) else None


def has_word(text: str, word: str) -> bool:
    """Whether the word stands in the text and is no part of a longer one."""
    start = text.find(word) if word else -1
    while start >= 0:
        end = start + len(word)
        if not _joins(text[start - 1 : start], word[0]) and not _joins(text[end : end + 1], word[-1]):
            return True
        start = text.find(word, start + 1)
    return False


def _joins(beside: str, edge: str) -> bool:
    """Whether a character goes on with the word at whose edge it stands; empty: the text begins or ends there."""
    return _is_of_a_word(beside) and _is_of_a_word(edge)


def _is_of_a_word(character: str) -> bool:
    return character.isalnum() or character == "_"
