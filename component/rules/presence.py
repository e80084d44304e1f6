"""S0: what each contact sees of a user, as a pure decision (spec/10-presence.md)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from typing import NamedTuple

GROUP = "group:"
"""What stands before the name of a roster group where a contact's JID could stand."""
Texts = tuple[tuple[str, str], ...]
"""Status texts: (xml:lang, text) pairs in the stanza's order; the language is empty where none was given."""


class Show(Enum):
    """Availability, most available first (the order of spec/10-presence.md, "looks more available")."""

    CHAT = "chat"
    ONLINE = "online"
    AWAY = "away"
    DND = "dnd"
    XA = "xa"
    OFFLINE = "offline"

    @property
    def rank(self) -> int:
        return _RANK[self]


_RANK = {show: rank for rank, show in enumerate(Show)}
OUTCOMES = tuple(Show)


class Case(Enum):
    """The cases of the decision table."""

    TALKING = "talking"
    UNANSWERED = "unanswered"
    BUSY = "busy"
    FREE = "free"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case, or an `always` rule, shows: an availability and perhaps a status text (empty: none of its own)."""

    show: Show
    status: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """A user's settings. The windows and `unread_max_age` are seconds, 1 to 2,592,000 (30 d)."""

    sent_window: float = 1800.0
    received_window: float = 1800.0
    unread_max_age: float = 86400.0
    outcomes: tuple[tuple[Case, Outcome], ...] = (
        (Case.TALKING, Outcome(Show.ONLINE)),
        (Case.UNANSWERED, Outcome(Show.AWAY)),
        (Case.BUSY, Outcome(Show.DND)),
        (Case.FREE, Outcome(Show.ONLINE)),
    )

    def outcome(self, case: Case) -> Outcome:
        return next(outcome for known, outcome in self.outcomes if known is case)


class Recent(NamedTuple):
    """What passed between user and contact, as instants (0.0: never)."""

    sent_at: float = 0.0
    received_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Always:
    """A fixed outcome for one contact (`who`: a bare JID) or roster group (`who`: `group:NAME`), until `until` (None: for good)."""

    who: str
    outcome: Outcome
    until: float | None = None

    def holds(self, now: float) -> bool:
        return self.until is None or now < self.until


class Verdict(NamedTuple):
    """What the contact is to see, why, and the instant at which that may change (None: not by itself)."""

    case: Case | None
    """None where an `always` rule decided."""
    outcome: Outcome
    because: tuple[str, ...]
    until: float | None


def is_open(at: float, window: float, now: float) -> bool:
    """Whether a window that began at `at` still holds: the very sum that the timer was set to (STYLE.md)."""
    return now < at + window


def decide(recent: Recent, newest_unread: float, rules: Rules, always: Always | None, now: float) -> Verdict:
    """The decision table for one contact. `newest_unread`: when the user's newest unread message came, from anybody (0.0: none)."""
    if always is not None:
        return Verdict(None, always.outcome, (f"always {always.who}",), always.until)
    sent = recent.sent_at > 0 and is_open(recent.sent_at, rules.sent_window, now)
    received = recent.received_at > 0 and is_open(recent.received_at, rules.received_window, now)
    unread = newest_unread > 0 and is_open(newest_unread, rules.unread_max_age, now)
    if sent:
        case, because, until = Case.TALKING, "sent", recent.sent_at + rules.sent_window
    elif received:
        case, because, until = Case.UNANSWERED, "received", recent.received_at + rules.received_window
    elif unread:
        case, because, until = Case.BUSY, "unread", newest_unread + rules.unread_max_age
    else:
        return Verdict(Case.FREE, rules.outcome(Case.FREE), (), None)
    return Verdict(case, rules.outcome(case), (because,), until)


def standing(always: Mapping[str, Always], contact: str, groups: Collection[str], now: float) -> Always | None:
    """Of the `always` rules, by `who`, the one that holds for this contact: contact before group, first group by name."""
    whom = (contact, *(f"{GROUP}{group}" for group in sorted(groups)))
    return next((always[who] for who in whom if who in always and always[who].holds(now)), None)


@dataclass(frozen=True, slots=True)
class Own:
    """A session's own presence, as much of it as a decision needs; `rest` is a digest of all payload but show and status."""

    show: Show
    status: Texts = ()
    priority: int = 0
    rest: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a contact sees of one session: `show`. `outcome` None: the own presence unchanged. `key` is the same for what looks the same."""

    show: Show
    outcome: Outcome | None
    key: str

    @property
    def word(self) -> str:
        """The link's `as` (docs/link.md, 4)."""
        return "own" if self.outcome is None else self.show.value


def tailor(own: Own, outcome: Outcome) -> Seen:
    """What a contact with this outcome sees of a session: the less available of the two.

    An `online` outcome, and one that is more available than the user's own presence, show the own presence as it is, its status too.
    """
    if outcome.show is Show.ONLINE or outcome.show.rank < own.show.rank:
        return truth(own)
    status = (("", outcome.status),) if outcome.status else own.status
    if outcome.show is Show.OFFLINE:
        return Seen(Show.OFFLINE, outcome, _key(Show.OFFLINE, (("", outcome.status),) if outcome.status else (), ""))
    if outcome.show is own.show and status == own.status:
        return truth(own)
    return Seen(outcome.show, outcome, _key(outcome.show, status, own.rest))


def truth(own: Own) -> Seen:
    """The own presence as it is."""
    return Seen(own.show, None, _key(own.show, own.status, own.rest))


def _key(show: Show, status: Texts, rest: str) -> str:
    return blake2b(repr((show.value, status, rest)).encode(), digest_size=9).hexdigest()
