"""The values of S3: what is configured, and what is remembered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from component.rules.distance import Place
from component.rules.hours import Hours
from component.rules.presence import Show
from component.rules.routing import Attributes
from config import settings

RESOURCE = "rapport"
"""Presence comes from this resource: Gajim 1.7.3 shows what comes from a bare JID as offline."""
AVAILABLE_SHOWS = (Show.ONLINE, Show.CHAT, Show.AWAY, Show.DND, Show.XA)
"""What `available_shows` can hold."""
_AGES = ("age range", "age-range", "age_range")


class WhenOffline(Enum):
    """What becomes of a message when nobody can take it."""

    QUEUE = "queue"
    BOUNCE = "bounce"


class Paused(Enum):
    """Whether a sub-user takes new conversations."""

    NO = ""
    BY_HAND = "by hand"
    UNANSWERED = "unanswered"
    """Too many customers went by; any message of theirs ends it."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A sub-user, as configured."""

    jid: str
    """A bare JID, or a full one."""
    capacity: int = 5
    place: Place | None = None
    hours: Hours | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Name → values, joined by commas."""

    @property
    def name(self) -> str:
        """What a colleague calls them: a `name` attribute, else the resource of a full JID, else the local part."""
        named = self.attributes.get("name")
        return named or self.jid.partition("/")[2] or self.jid.partition("@")[0]


@dataclass(frozen=True, slots=True)
class VirtualUser:
    """A virtual user's settings; durations in seconds."""

    node: str
    name: str
    policy: tuple[str, ...] = ("latest", "least-load")
    when_offline: WhenOffline = WhenOffline.QUEUE
    history_expiry: float = 86_400.0
    absence_grace: float = 10.0
    answer_within: float | None = None
    """None: never."""
    auto_pause: int = 0
    """0: never."""
    available_shows: tuple[Show, ...] = (Show.ONLINE, Show.CHAT, Show.AWAY, Show.DND)


@dataclass(frozen=True, slots=True)
class Record:
    """Who got a conversation when and why (spec/20-virtual.md, step 5)."""

    id: int
    node: str
    customer: str
    member: str
    policy: str
    """The policy that chose; or `transfer`, `take-over`."""
    at: float
    considered: Mapping[str, str] = field(default_factory=dict)
    """Who else was considered → why not."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an open conversation. `id` is that of the queue: the same message is the same line."""

    id: int
    conversation: int
    at: float
    author: str
    """`customer`, `note`, or a member's JID."""
    text: str


CUSTOMER, NOTE = "customer", "note"
LONGEST_LINE = 2_000
"""Characters of a line, as it is kept."""
LINES = 20
"""How many lines of an open conversation are kept for whoever gets it next."""


def attributes_of(texts: Mapping[str, str]) -> Attributes:
    """Attributes as policies compare them."""
    parsed = {
        _attribute(name): frozenset(value.strip().lower() for value in text.split(",") if value.strip()) for name, text in texts.items()
    }
    return {name: values for name, values in parsed.items() if values and name != "name"}


def _attribute(name: str) -> str:
    lower = name.strip().lower()
    return "age" if lower in _AGES else lower


def user_of(table: settings.Virtual) -> VirtualUser:
    """A virtual user of the configuration."""
    return VirtualUser(
        table.node,
        table.name,
        tuple(table.policy),
        WhenOffline(table.when_offline),
        table.history_expiry,
        table.absence_grace,
        table.answer_within,
        table.auto_pause,
        tuple(Show(show) for show in table.available_shows),
    )


def profile_of(table: settings.Member) -> Profile:
    """A sub-user of the configuration."""
    place = Place(table.lat, table.lon) if table.lat is not None and table.lon is not None else None
    return Profile(table.jid, table.capacity, place, table.hours, dict(table.attributes))
