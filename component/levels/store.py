"""What users said of their contacts and opened to them, and who looked (spec/30-levels.md). Tables `levels_…`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    MetaData,
    Row,
    SmallInteger,
    Table,
    Text,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)

from component.ledger.engine import Database
from component.ledger.erase import JSON, by_columns
from component.rules.doors import NOTHING, Door
from component.rules.levels import NO_LABELS, Labels
from stanzas.files import SharedFile

LOOKS_KEPT = 1_000
"""How many looks of each outcome the log keeps of one user, so that refusals of strangers don't push out who saw something."""
FILES_KEPT = 1_000
"""How many files one user can share."""
REMOTE_KEPT = 10_000
"""How many users of one other domain can opt out of lists, and how many can set a real name."""

metadata = MetaData()
_Id = BigInteger().with_variant(Integer(), "sqlite")

LABELS = Table(
    "levels_labels",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("contact", Text, primary_key=True),
    Column("labels", Text, nullable=False, info=JSON),  # a list of texts
    Column("level", SmallInteger),
    Column("pinned", Boolean, nullable=False),
)
DOORS = Table(
    "levels_doors",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("door", Text, primary_key=True),  # rules.doors.Door
    Column("levels", Text, nullable=False),  # the open ones, like 135
    Column("names", Boolean, nullable=False),  # whether contact lists show the owner's names for contacts
)
REAL_NAMES = Table(
    "levels_real_names",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("domain", Text, nullable=False),
    Column("fn", Text, nullable=False),
    Column("given", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("photo", Text, nullable=False),
)
Index("levels_real_names_domain", REAL_NAMES.c.domain)
UNLISTED = Table(
    "levels_unlisted",
    metadata,
    Column("jid", Text, primary_key=True),
    Column("domain", Text, nullable=False),
)
"""Who does not want to stand in others' lists."""
Index("levels_unlisted_domain", UNLISTED.c.domain)
FILES = Table(
    "levels_files",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("link", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("size", BigInteger),
    Column("media_type", Text, nullable=False),
    Column("hashes", Text, nullable=False, info=JSON),  # a list of [algorithm, base64]
    Column("level", SmallInteger),  # none: every open one
)
Index("levels_files_owner", FILES.c.owner)
LOOKS = Table(
    "levels_looks",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("who", Text, nullable=False),
    Column("door", Text, nullable=False),
    Column("level", SmallInteger),  # none: all
    Column("granted", Boolean, nullable=False),
)
Index("levels_looks_owner", LOOKS.c.owner, LOOKS.c.granted, LOOKS.c.id)
TALKS = Table(
    "levels_talks",
    metadata,
    Column("writer", Text, primary_key=True),
    Column("reader", Text, primary_key=True),
    Column("answered", Boolean, nullable=False),  # the writer was let in for that alone
)
"""Who wrote to whom under their real name. The reader may answer, but not the answers."""
INTRODUCTIONS = Table(
    "levels_introductions",
    metadata,
    Column("asker", Text, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("at", Double, nullable=False),
)
Index("levels_introductions_at", INTRODUCTIONS.c.at)

PARTS = (
    by_columns(LABELS, LABELS.c.owner, LABELS.c.contact),
    by_columns(DOORS, DOORS.c.owner),
    by_columns(REAL_NAMES, REAL_NAMES.c.owner),
    by_columns(UNLISTED, UNLISTED.c.jid),
    by_columns(FILES, FILES.c.owner),
    by_columns(LOOKS, LOOKS.c.owner, LOOKS.c.who),
    by_columns(TALKS, TALKS.c.writer, TALKS.c.reader),
    by_columns(INTRODUCTIONS, INTRODUCTIONS.c.asker, INTRODUCTIONS.c.recipient),
)
"""For export and erase (ledger/erase.py)."""


@dataclass(frozen=True, slots=True)
class RealName:
    """`photo`: an http, https or data link, or empty."""

    fn: str
    given: str = ""
    family: str = ""
    photo: str = ""


@dataclass(frozen=True, slots=True)
class Leveled:
    """A shared file, and the level that it is for (None: every open one)."""

    file: SharedFile
    level: int | None
    number: int = field(default=0, compare=False)
    """The store's own: it rises in the order in which files are shared."""


@dataclass(frozen=True)
class Settings:
    """All that one user set."""

    labels: Mapping[str, Labels] = field(default_factory=dict)
    """By contact."""
    opened: Mapping[Door, frozenset[int]] = field(default_factory=dict)
    share_names: bool = False
    real_name: RealName | None = None
    files: tuple[Leveled, ...] = ()
    """In the order in which they were shared."""
    wrote_to: frozenset[str] = frozenset()
    """To whom the user wrote under their real name."""
    answered: frozenset[str] = frozenset()
    """Those of them whom the user only answered."""

    def open(self, door: Door) -> frozenset[int]:
        return self.opened.get(door, NOTHING)

    def may_answer(self, reader: str) -> bool:
        """Whether the user wrote to this one, by an open door."""
        return reader in self.wrote_to and reader not in self.answered


@dataclass(frozen=True, slots=True)
class Look:
    """Somebody asked for a level of a door (None: for all). `at`: UNIX seconds."""

    at: float
    who: str
    door: Door
    level: int | None
    granted: bool


class Full(Exception):
    """There is no room for one more; the message says of what."""


class Store:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def settings(self, user: str) -> Settings:
        """What a bare JID set; the same queries for one who never did."""
        return await self._database.read(lambda connection: _settings(connection, user))

    async def label(self, owner: str, contact: str, labels: Labels) -> None:
        """Instead of what was said of this contact before; NO_LABELS: nothing is said any more."""
        mine = and_(LABELS.c.owner == owner, LABELS.c.contact == contact)
        row = {"owner": owner, "contact": contact, "labels": _json(labels.names), "level": labels.level, "pinned": labels.pinned}
        await self._replace(LABELS, mine, None if labels == NO_LABELS else row)

    async def open(self, owner: str, door: Door, levels: frozenset[int], share_names: bool) -> None:
        written = "".join(str(level) for level in sorted(levels))
        mine = and_(DOORS.c.owner == owner, DOORS.c.door == door.value)
        await self._replace(DOORS, mine, {"owner": owner, "door": door.value, "levels": written, "names": share_names})

    async def openers(self) -> frozenset[str]:
        """Whoever has a level of some door open."""
        query = select(DOORS.c.owner).where(DOORS.c.levels != "")
        return await self._database.read(lambda connection: frozenset(connection.scalars(query)))

    async def set_real_name(self, owner: str, domain: str, local: bool, name: RealName | None) -> None:
        """None removes it. Raises Full for users of other domains."""
        row = None
        if name is not None:
            row = {
                "owner": owner,
                "domain": domain,
                "fn": name.fn,
                "given": name.given,
                "family": name.family,
                "photo": name.photo,
            }
        await self._replace(REAL_NAMES, REAL_NAMES.c.owner == owner, row, None if local else REAL_NAMES.c.domain == domain)

    async def unlisted(self) -> frozenset[str]:
        """Every JID that opted out of others' lists."""
        return await self._database.read(lambda connection: frozenset(connection.scalars(select(UNLISTED.c.jid))))

    async def set_listable(self, jid: str, domain: str, local: bool, listable: bool) -> None:
        """Raises Full for users of other domains."""
        row = None if listable else {"jid": jid, "domain": domain}
        await self._replace(UNLISTED, UNLISTED.c.jid == jid, row, None if local else UNLISTED.c.domain == domain)

    async def share(self, owner: str, shared: Leveled) -> None:
        """A link that was shared before is described anew. Raises Full."""
        file = shared.file
        mine = and_(FILES.c.owner == owner, FILES.c.link == file.link)
        row = {
            "owner": owner,
            "link": file.link,
            "name": file.name,
            "size": file.size,
            "media_type": file.media_type,
            "hashes": _json(file.hashes),
            "level": shared.level,
        }
        await self._replace(FILES, mine, row, FILES.c.owner == owner, FILES_KEPT)

    async def revoke(self, owner: str, link: str) -> bool:
        """Whether there was such a file."""

        def work(connection: Connection) -> bool:
            return connection.execute(delete(FILES).where(FILES.c.owner == owner, FILES.c.link == link)).rowcount > 0

        return await self._database.write(work)

    async def wrote(self, writer: str, reader: str, answered: bool) -> bool:
        """`writer` wrote to `reader` under their real name, or only answered; whether for the first time."""
        mine = and_(TALKS.c.writer == writer, TALKS.c.reader == reader)

        def work(connection: Connection) -> bool:
            only_answered = connection.scalar(select(TALKS.c.answered).where(mine))
            if only_answered is None:
                connection.execute(insert(TALKS), {"writer": writer, "reader": reader, "answered": answered})
            elif only_answered and not answered:
                connection.execute(update(TALKS).where(mine), {"answered": False})
            return only_answered is None

        return await self._database.write(work)

    async def introduce(self, asker: str, recipient: str, at: float, again_after: float) -> float | None:
        """Take this pair's one introduction in `again_after` seconds; None: it is taken, else the instant of the one that is in the way."""
        mine = and_(INTRODUCTIONS.c.asker == asker, INTRODUCTIONS.c.recipient == recipient)

        def work(connection: Connection) -> float | None:
            connection.execute(delete(INTRODUCTIONS).where(INTRODUCTIONS.c.at <= at - again_after))
            earlier: float | None = connection.scalar(select(INTRODUCTIONS.c.at).where(mine))
            if earlier is None:
                connection.execute(insert(INTRODUCTIONS), {"asker": asker, "recipient": recipient, "at": at})
            return earlier

        return await self._database.write(work)

    async def record(self, owner: str, look: Look) -> None:
        """Keep a look for the owner's log, and forget the oldest of too many."""
        alike = and_(LOOKS.c.owner == owner, LOOKS.c.granted == look.granted)
        row = {
            "owner": owner,
            "at": look.at,
            "who": look.who,
            "door": look.door.value,
            "level": look.level,
            "granted": look.granted,
        }

        def work(connection: Connection) -> None:
            connection.execute(insert(LOOKS), row)
            oldest = select(LOOKS.c.id).where(alike).order_by(LOOKS.c.id.desc()).offset(LOOKS_KEPT).limit(1).scalar_subquery()
            connection.execute(delete(LOOKS).where(alike, LOOKS.c.id <= oldest))

        await self._database.write(work)

    async def looks(self, owner: str) -> Sequence[Look]:
        """The owner's log, newest first."""

        def work(connection: Connection) -> Sequence[Look]:
            found = connection.execute(select(LOOKS).where(LOOKS.c.owner == owner).order_by(LOOKS.c.id.desc()))
            return [Look(row.at, row.who, Door(row.door), row.level, row.granted) for row in found]

        return await self._database.read(work)

    async def _replace(self, table: Table, mine: Any, row: Mapping[str, Any] | None, crowd: Any = None, room: int = REMOTE_KEPT) -> None:
        """Put `row` (None: nothing) where `mine` was. Raises Full if it would be one more than `room` of a `crowd`."""

        def work(connection: Connection) -> None:
            replaced = connection.execute(delete(table).where(mine)).rowcount
            if row is None:
                return
            if crowd is not None and not replaced and _count(connection, table, crowd) >= room:
                raise Full(f"there are {room} already")
            connection.execute(insert(table), row)

        await self._database.write(work)


def _count(connection: Connection, table: Table, where: Any) -> int:
    return connection.scalar(select(func.count()).select_from(table).where(where)) or 0


def _settings(connection: Connection, user: str) -> Settings:
    doors = connection.execute(select(DOORS).where(DOORS.c.owner == user)).all()
    real_name = connection.execute(select(REAL_NAMES).where(REAL_NAMES.c.owner == user)).first()
    talks = connection.execute(select(TALKS).where(TALKS.c.writer == user)).all()
    return Settings(
        {
            row.contact: Labels(tuple(json.loads(row.labels)), row.level, row.pinned)
            for row in connection.execute(select(LABELS).where(LABELS.c.owner == user))
        },
        {Door(row.door): frozenset(int(level) for level in row.levels) for row in doors},
        any(row.names for row in doors if row.door == Door.CONTACTS.value),
        None if real_name is None else RealName(real_name.fn, real_name.given, real_name.family, real_name.photo),
        tuple(_leveled(row) for row in connection.execute(select(FILES).where(FILES.c.owner == user).order_by(FILES.c.id))),
        frozenset(row.reader for row in talks),
        frozenset(row.reader for row in talks if row.answered),
    )


def _leveled(row: Row[Any]) -> Leveled:
    hashes = tuple((algorithm, value) for algorithm, value in json.loads(row.hashes))
    return Leveled(SharedFile(row.link, row.name, row.size, row.media_type, hashes), row.level, row.id)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
