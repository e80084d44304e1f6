"""The configuration: one model per table of the TOML file, with each key's default (config/sample.toml says them in words).

Durations are seconds here, JIDs normalised, paths absolute. `config.load.load` makes them, with the context `{"file": the config file}`.
"""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from config import sockets
from config.values import (
    Address,
    BareJid,
    ConfigPath,
    Database,
    Domain,
    Flag,
    HalfLife,
    HttpUser,
    Image,
    Listen,
    MemberJid,
    Misplaced,
    Name,
    Node,
    Number,
    Origin,
    Patience,
    PatienceOrOff,
    Port,
    Secret,
    Settle,
    Site,
    Text,
    Whole,
    Window,
    WorkingHours,
    config_file,
    unique,
)
from stanzas import jid

Policy = Literal[
    "latest",
    "nearest",
    "nearest-known",
    "least-load",
    "least-load-known",
    "attributes",
    "hours",
    "bandwidth",
    "round-robin",
    "random",
]


class Table(BaseModel):
    """What all tables have in common: no unknown keys, no change after the start."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Component(Table):
    """`[component]`: the stream to the server (XEP-0114), and whom it serves."""

    jid: Domain
    secret: Secret
    """In the file also as `secret_file`."""
    host: Name = "127.0.0.1"
    port: Port = 5347
    served_hosts: Annotated[tuple[Domain, ...], Field(min_length=1), AfterValidator(unique)]
    admins: tuple[BareJid, ...] = ()
    control_socket: ConfigPath = Field(default=Path(), validate_default=True)
    """Where the command line asks a running component; by default as `config.sockets.default` says."""

    @field_validator("control_socket", mode="before")
    @classmethod
    def _default_socket(cls, value: object, info: ValidationInfo) -> object:
        return str(sockets.default(config_file(info), info.data.get("jid", ""))) if value == Path() else value

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.jid in self.served_hosts:
            raise Misplaced(("jid",), f"{self.jid!r} is a served host: the component needs a domain of its own")
        return self


class Storage(Table):
    """`[storage]`: the database."""

    url: Database = "sqlite:///rapport.db"
    """SQLite (a relative FILE lies in the working directory) or PostgreSQL. May hold a password: never log it."""


class Presence(Table):
    """`[presence]`: what users who opt in start with (spec/10-presence.md), in seconds."""

    sent_window: Window = 1_800.0
    received_window: Window = 1_800.0
    unread_max_age: Window = 86_400.0
    settle: Settle = 0.05
    """For how long changes of *unread* are gathered into one pass; 0 to 10."""


class Levels(Table):
    """`[levels]`: contact levels (spec/30-levels.md)."""

    half_life: HalfLife = 30 * 86_400.0
    """Seconds after which a message weighs half."""
    thresholds: Annotated[tuple[Number, ...], Field(min_length=4, max_length=4)] = (20.0, 10.0, 5.0, 1.0)
    """The scores that levels 1, 2, 3 and 4 begin at, falling; the rest is level 5."""
    balance: Literal["mutual", "total"] = "mutual"

    @field_validator("thresholds", mode="after")
    @classmethod
    def _falling(cls, thresholds: tuple[float, ...]) -> tuple[float, ...]:
        for place, (higher, lower) in enumerate(pairwise(thresholds), 1):
            if lower >= higher:
                raise Misplaced((place,), f"{lower:g} isn't less than {higher:g}: thresholds fall")
        if thresholds[-1] <= 0:
            raise Misplaced((len(thresholds) - 1,), "thresholds are above 0")
        return thresholds


class Member(Table):
    """`[[virtual.member]]`: a sub-user, where more is known than the JID (spec/20-virtual.md)."""

    jid: MemberJid
    capacity: Annotated[Whole, Field(ge=1)] = 5
    """Conversations open at a time."""
    lat: Annotated[Number, Field(ge=-90, le=90)] | None = None
    """Degrees north; with `lon` or not at all."""
    lon: Annotated[Number, Field(ge=-180, le=180)] | None = None
    """Degrees east."""
    hours: WorkingHours | None = None
    attributes: dict[Name, Text] = Field(default_factory=dict)
    """Several values of one attribute are joined by commas: `language = "de, en"`."""

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.lat is None) != (self.lon is None):
            given, missing = ("lat", "lon") if self.lon is None else ("lon", "lat")
            raise Misplaced((given,), f"{missing!r} is missing: a place has both")
        return self


class Virtual(Table):
    """`[[virtual]]`: a virtual user (spec/20-virtual.md). More are added live."""

    node: Node
    name: Name
    members: tuple[MemberJid, ...] = ()
    member: tuple[Member, ...] = ()
    policy: Annotated[tuple[Policy, ...], AfterValidator(unique)] = ("latest", "least-load")
    when_offline: Literal["queue", "bounce"] = "queue"
    history_expiry: Window = 86_400.0
    """Seconds for which a customer comes back to the same sub-user; 1 s to 30 d."""
    absence_grace: Patience = 10.0
    """Seconds for which one who went away is waited for; 0 to 30 d."""
    answer_within: PatienceOrOff = None
    """Seconds after which an unanswered customer goes to the next sub-user; None: never."""
    auto_pause: Annotated[Whole, Field(ge=0)] = 0
    """Unanswered customers after which a sub-user is paused; 0: never."""
    available_shows: Annotated[tuple[Literal["online", "chat", "away", "dnd", "xa"], ...], Field(min_length=1), AfterValidator(unique)] = (
        "online",
        "chat",
        "away",
        "dnd",
    )
    avatar: Image | None = None
    """A PNG, JPEG, GIF or WebP file of up to 64 KiB, for the vCard."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        known = set[str]()
        places: list[tuple[str, int, tuple[str, ...]]] = [("members", place, ()) for place in range(len(self.members))]
        places += [("member", place, ("jid",)) for place in range(len(self.member))]
        for (key, place, rest), member in zip(places, self.team, strict=True):
            if member.jid in known:
                raise Misplaced((key, place, *rest), f"{member.jid!r} is a member already")
            known.add(member.jid)
        return self

    @property
    def team(self) -> tuple[Member, ...]:
        """All sub-users, those of `members` first."""
        return (*(Member(jid=member) for member in self.members), *self.member)


class Community(Table):
    """`[[community]]`: a web community (spec/50-communities.md). More are added live."""

    id: Node
    name: Name
    base_url: Site
    call_user: HttpUser
    call_password: Secret
    """In the file also as `call_password_file`."""
    api_user: HttpUser
    api_password: Secret
    """In the file also as `api_password_file`."""
    origins: tuple[Origin, ...] = ()
    allow_private_address: Flag = False
    chat_with_non_friends: Flag = True


class Http(Table):
    """`[http]`: health, metrics, the web. Without the table nothing listens."""

    listen: Address = Listen("127.0.0.1", 8484)


class Settings(Table):
    """The whole configuration."""

    component: Component
    storage: Storage = Storage()
    presence: Presence = Presence()
    levels: Levels = Levels()
    virtual: tuple[Virtual, ...] = ()
    community: tuple[Community, ...] = ()
    http: Http | None = None

    @model_validator(mode="after")
    def _one_name_space(self) -> Self:
        taken: dict[str, str] = {}
        names = [("virtual", place, "node", one.node) for place, one in enumerate(self.virtual)]
        names += [("community", place, "id", one.id) for place, one in enumerate(self.community)]
        for table, place, key, name in names:
            if name in taken:
                raise Misplaced((table, place, key), f"{name!r} is taken by {taken[name]}")
            taken[name] = f"{table}[{place}].{key}"
        return self

    @model_validator(mode="after")
    def _people_elsewhere(self) -> Self:
        for place, admin in enumerate(self.component.admins):
            if jid.split(admin)[1] == self.component.jid:
                raise Misplaced(("component", "admins", place), f"{admin!r} is at the component's own domain")
        for place, virtual in enumerate(self.virtual):
            for member in virtual.team:
                if jid.split(member.jid)[1] == self.component.jid:
                    raise Misplaced(("virtual", place), f"its member {member.jid!r} is at the component's own domain")
        return self
