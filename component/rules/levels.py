"""S4: how close a contact is to a user, as a pure decision (spec/30-levels.md, Level of contact C for user U)."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

SPAN = 10
"""Half-lives in an epoch: the weights of its messages have one origin, and stay whole numbers of at most 42 bits."""
UNIT = 2**32
"""The weight of a message at the start of its epoch."""


def weight(at: float, half_life: float) -> tuple[int, int]:
    """The epoch of a message, and its weight there as a whole number: sums of these do not depend on the order of arrival."""
    epoch = math.floor(at / (SPAN * half_life))
    return epoch, int(2.0 ** ((at - epoch * SPAN * half_life) / half_life) * UNIT)


def score_at(totals: Iterable[tuple[int, int]], half_life: float, now: float) -> float:
    """What messages weigh at `now`, each `2^(-age/half_life)`, from the sums of `weight` by epoch."""
    return math.fsum(
        # 2^60: only a clock that was set far back gets there, and must not overflow.
        total / UNIT * 2.0 ** min((epoch * SPAN * half_life - now) / half_life, 60.0)
        for epoch, total in totals
    )


class Balance(Enum):
    """How the two directions make one score."""

    MUTUAL = "mutual"
    """Twice the smaller one."""
    TOTAL = "total"
    """Their sum."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How scores are made and what level they give (`[levels]` of the configuration)."""

    half_life: float = 30 * 86_400.0
    """Seconds."""
    thresholds: tuple[float, ...] = (20.0, 10.0, 5.0, 1.0)
    """Where levels 1, 2, 3 and 4 begin, falling."""
    balance: Balance = Balance.MUTUAL


def balanced(sent: float, received: float, balance: Balance) -> float:
    """The score of a contact, of what the user sent them and what the user received from them."""
    return 2.0 * min(sent, received) if balance is Balance.MUTUAL else sent + received


@dataclass(frozen=True, slots=True)
class Labels:
    """What a user says of a contact: labels, and the level that they carry (None: none)."""

    names: tuple[str, ...] = ()
    level: int | None = None
    """The contact is at least that close; pinned: exactly that close."""
    pinned: bool = False


NO_LABELS = Labels()


@dataclass(frozen=True, slots=True)
class Closeness:
    """A contact's level, why it is that, and the instant at which it falls by itself (None: not without a change)."""

    level: int
    score: float
    because: tuple[str, ...]
    until: float | None


def level_of(score: float, thresholds: tuple[float, ...]) -> int:
    """The level that a score gives: 1 from the first threshold on, and one past the last below it."""
    for level, threshold in enumerate(thresholds, 1):
        if score >= threshold:
            return level
    return len(thresholds) + 1


def level(score: float, labels: Labels, thresholds: tuple[float, ...]) -> int:
    """A contact's level: the pinned one, else the closer of what the score gives and the labels carry."""
    if labels.level is None:
        return level_of(score, thresholds)
    return labels.level if labels.pinned else min(labels.level, level_of(score, thresholds))


def closeness(score: float, labels: Labels, scale: Scale, now: float) -> Closeness:
    """As `level`, with the reason and the end."""
    thresholds = scale.thresholds
    decided, by_score = level(score, labels, thresholds), level_of(score, thresholds)
    named = f"labels {', '.join(labels.names)}" if labels.names else "a level set by hand"
    if labels.level is not None and labels.pinned:
        return Closeness(decided, score, (f"pinned to {labels.level}",), None)
    if labels.level is not None and labels.level <= by_score:
        return Closeness(decided, score, (f"{named}: at least {labels.level}",), None)
    if by_score > len(thresholds):
        return Closeness(decided, score, (f"score {_below(score, thresholds[-1])} is below {thresholds[-1]:g}",), None)
    threshold = thresholds[by_score - 1]
    # All messages of a pair fade by the same factor, so that the score itself does.
    until = now + scale.half_life * math.log2(score / threshold)
    return Closeness(decided, score, (f"score {score:.2f} is at least {threshold:g}",), until)


def _below(score: float, threshold: float) -> str:
    """A score in as many digits as it takes to see that it is below the threshold: messages of just now weigh a little less than 1."""
    texts = (f"{score:.{digits}f}" for digits in range(2, 16))
    return next((text for text in texts if float(text) < threshold), repr(score))
