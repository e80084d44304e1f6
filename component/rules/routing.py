"""S3: which sub-user gets a customer's message, as a pure decision (spec/20-virtual.md, A message from a customer).

A policy is a function: a call and a team in, those whom it prefers out; nobody means that it can't tell.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from types import MappingProxyType

from component.rules.distance import WITHIN, Place, chord, distance
from component.rules.hours import Hours, covers

Attributes = Mapping[str, frozenset[str]]
"""Name → values, all in lower case; a name without values is left out."""

NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Member:
    """A sub-user, as far as a decision needs to know."""

    jid: str
    """A bare JID, or a full one."""
    available: bool = True
    paused: bool = False
    load: int = 0
    """Open conversations."""
    capacity: int = 5
    """Conversations that may be open at a time, at least 1."""
    turn: int = 0
    """Grows with each conversation given, team-wide; 0: never given one."""
    active_at: float = 0.0
    """When one of their conversations last had a message, UNIX seconds; 0.0: never."""
    place: Place | None = None
    hours: Hours | None = None
    attributes: Attributes = field(default_factory=dict)
    round_trip: float | None = None
    """Seconds (XEP-0199); None: never measured."""


@dataclass(frozen=True, slots=True)
class Call:
    """A message that needs a sub-user."""

    now: float
    """UNIX seconds."""
    records: Mapping[str, float] = field(default_factory=dict)
    """Member → when a message of this customer last went there, UNIX seconds."""
    history_expiry: float = 86_400.0
    """Seconds for which a record is valid."""
    place: Place | None = None
    attributes: Attributes = field(default_factory=dict)
    tried: frozenset[str] = NOBODY
    """Members whom this message, or this customer, has been to in vain."""
    draw: float = 0.0
    """A random number, 0 ≤ draw < 1."""

    def knows(self, member: Member) -> bool:
        """Whether there is a valid record of this customer with this member."""
        at = self.records.get(member.jid)
        return at is not None and is_valid(at, self.history_expiry, self.now)


@dataclass(frozen=True, slots=True)
class Choice:
    """Who gets the conversation, or nobody (`member` is None), and why."""

    member: str | None
    policy: str
    """The policy that left one; empty where nobody could be chosen."""
    considered: Mapping[str, str]
    """Everybody else → why not: `offline`, `paused`, `full`, `tried`, or the policy that preferred others."""


Policy = Callable[[Call, Sequence[Member]], Sequence[Member]]


def is_valid(at: float, history_expiry: float, now: float) -> bool:
    """Whether a record of the instant `at` still counts: the very sum that timers are set to (STYLE.md)."""
    return now < at + history_expiry


def latest(call: Call, team: Sequence[Member]) -> Sequence[Member]:
    """The sub-user of the latest valid record of this customer, if that one can be had."""
    newest = max(call.records, key=lambda jid: (call.records[jid], jid), default=None)
    return [m for m in team if m.jid == newest and call.knows(m)]


def nearest(call: Call, team: Sequence[Member]) -> Sequence[Member]:
    """The smallest great-circle distance; who is nowhere known is not near."""
    here = call.place
    if here is None:
        return []
    placed = [(m, m.place) for m in team if m.place is not None]
    chords = [chord(here, place) for _, place in placed]
    close = min(chords, default=0.0) * WITHIN
    near = [(m, place) for (m, place), far in zip(placed, chords, strict=True) if far <= close]
    metres = {place: distance(here, place) for place in {place for _, place in near}}
    least = min(metres.values(), default=0.0)
    return [m for m, place in near if metres[place] == least]


def nearest_known(call: Call, team: Sequence[Member]) -> Sequence[Member]:
    return nearest(call, _known(call, team))


def least_load(_call: Call, team: Sequence[Member]) -> Sequence[Member]:
    """The fewest open conversations, relative to capacity."""
    return _least(team, lambda m: m.load / m.capacity)


def least_load_known(call: Call, team: Sequence[Member]) -> Sequence[Member]:
    return least_load(call, _known(call, team))


def attributes(call: Call, team: Sequence[Member]) -> Sequence[Member]:
    """Those who share an attribute's value with the customer, and differ in none that both declare."""

    return [m for m in team if _fits(call.attributes, m.attributes)]


def hours(call: Call, team: Sequence[Member]) -> Sequence[Member]:
    """Those whose working hours cover now; else those without working hours, who are no worse than others when they are there."""
    spans = {id(m.hours): m.hours for m in team if m.hours is not None}  # by identity: hashing them takes longer than asking
    on_duty = {key for key, hours in spans.items() if covers(hours, call.now)}
    return [m for m in team if id(m.hours) in on_duty] or [m for m in team if m.hours is None]


def bandwidth(_call: Call, team: Sequence[Member]) -> Sequence[Member]:
    """The lowest measured round-trip time."""
    return _least([m for m in team if m.round_trip is not None], lambda m: m.round_trip or 0.0)


def round_robin(_call: Call, team: Sequence[Member]) -> Sequence[Member]:
    """Those whose last turn lies longest back: fair also when some were away for a round."""
    return _least(team, lambda m: m.turn)


def random(call: Call, team: Sequence[Member]) -> Sequence[Member]:
    """One of them, by the draw."""
    return sorted(team, key=_by_jid)[int(call.draw * len(team)) :][:1]


def idle(_call: Call, team: Sequence[Member]) -> Sequence[Member]:
    """The longest without a message in any conversation."""
    return _least(team, lambda m: m.active_at)


def by_jid(_call: Call, team: Sequence[Member]) -> Sequence[Member]:
    """The first by JID: what decides when nothing else does."""
    return [min(team, key=_by_jid)] if team else []


POLICIES: Mapping[str, Policy] = MappingProxyType(
    {
        "latest": latest,
        "nearest": nearest,
        "nearest-known": nearest_known,
        "least-load": least_load,
        "least-load-known": least_load_known,
        "attributes": attributes,
        "hours": hours,
        "bandwidth": bandwidth,
        "round-robin": round_robin,
        "random": random,
    }
)
"""Name in configuration and forms → policy (the table of spec/20-virtual.md)."""

_LAST_TIE: tuple[tuple[str, Policy], ...] = (("least-load", least_load), ("longest-idle", idle), ("jid", by_jid))


def choose(call: Call, team: Sequence[Member], policies: Sequence[str]) -> Choice:
    """Who gets the conversation: the policies in their order, each among those whom the one before left.

    Takes only members who are available, not paused, below their capacity and not tried yet. The order of `team` does not matter.
    The policy that chose is the first that could tell and left one; the last tie goes to least-load, then the longest idle, then by JID.
    """
    why_not: dict[str, str] = {}
    left: Sequence[Member] = _free(call, team, why_not)
    for name, policy in (*((name, POLICIES[name]) for name in policies), *_LAST_TIE):
        preferred = policy(call, left)
        if preferred and len(preferred) < len(left):
            kept = {m.jid for m in preferred}
            why_not |= {m.jid: name for m in left if m.jid not in kept}
            left = preferred
        if len(preferred) == 1:
            return Choice(preferred[0].jid, name, why_not)
    return Choice(None, "", why_not)


class Step(Enum):
    """What becomes of a message whose conversation may have a sub-user already."""

    KEEP = "keep"
    """The same sub-user gets it."""
    WAIT = "wait"
    """The sub-user may only be reconnecting."""
    CHOOSE = "choose"


@dataclass(frozen=True, slots=True)
class Standing:
    step: Step
    until: float | None = None
    """WAIT: the instant at which it ends."""


def standing(member: Member | None, last_at: float, away_since: float, history_expiry: float, absence_grace: float, now: float) -> Standing:
    """Step 3: whether a conversation stays with its sub-user (None: it has none).

    `last_at`: its last message; `away_since`: when the sub-user was last seen to leave. Pausing and capacity concern new conversations.
    """
    if member is None or not is_valid(last_at, history_expiry, now):
        return Standing(Step.CHOOSE)
    if member.available:
        return Standing(Step.KEEP)
    if now < away_since + absence_grace:
        return Standing(Step.WAIT, away_since + absence_grace)
    return Standing(Step.CHOOSE)


def _free(call: Call, team: Sequence[Member], why_not: dict[str, str]) -> list[Member]:
    """Those who can take a conversation; the others go into `why_not` with the reason."""
    free = []
    for member in team:
        if not member.available:
            why_not[member.jid] = "offline"
        elif member.paused:
            why_not[member.jid] = "paused"
        elif member.load >= member.capacity:
            why_not[member.jid] = "full"
        elif member.jid in call.tried:
            why_not[member.jid] = "tried"
        else:
            free.append(member)
    return free


def _by_jid(member: Member) -> str:
    return member.jid


def _known(call: Call, team: Sequence[Member]) -> Sequence[Member]:
    return [m for m in team if call.knows(m)] if call.records else []


def _least(team: Sequence[Member], measure: Callable[[Member], float]) -> Sequence[Member]:
    measures = [measure(member) for member in team]
    least = min(measures, default=0.0)
    return [member for member, measured in zip(team, measures, strict=True) if measured == least]


def _fits(wanted: Attributes, declared: Attributes) -> bool:
    fits = False
    for name, values in wanted.items():
        have = declared.get(name)
        if have is not None:
            if not _meet(name, values, have):
                return False
            fits = True
    return fits


@lru_cache(maxsize=1024)  # a team declares the same few values over and over
def _meet(name: str, wanted: frozenset[str], declared: frozenset[str]) -> bool:
    if not wanted.isdisjoint(declared):
        return True
    if name == "language":
        return any(_speaks(want, have) for want in wanted for have in declared)
    if name == "gender":
        return not {_SEXES.get(want, want) for want in wanted}.isdisjoint(_SEXES.get(have, have) for have in declared)
    return any(_in_range(want, have) for want in wanted for have in declared)


_SEXES = {"male": "m", "female": "f", "other": "o", "none": "n"}
"""In words → as a vCard has it (RFC 6350, 6.2.7)."""


def _speaks(want: str, have: str) -> bool:
    """Whether one of two language tags is the other's beginning (RFC 4647, 3.3.1): `de` and `de-at`."""
    shorter, longer = (want, have) if len(want) < len(have) else (have, want)
    return longer.startswith(shorter) and longer[len(shorter) : len(shorter) + 1] in ("", "-")


def _in_range(want: str, have: str) -> bool:
    """Whether a whole number lies in a range like `18-30` or `60+`."""
    if not want.isdecimal() or (match := _RANGE.fullmatch(have)) is None:
        return False
    least, most = match["least"], match["most"]
    return int(least) <= int(want) and (most is None or int(want) <= int(most))


_RANGE = re.compile(r"(?P<least>[0-9]+)(?:\+|-(?P<most>[0-9]+))")
