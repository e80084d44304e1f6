"""The ledger's tables (migrations/versions/0001_ledger.py makes them), and what differs between SQLite and PostgreSQL.

JIDs are interned: `jids.id` stands for a bare JID everywhere. Instants are UNIX seconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import ColumnElement

metadata = MetaData()

# SQLite's own row number is what INTEGER PRIMARY KEY names.
_Id = BigInteger().with_variant(Integer(), "sqlite")

JIDS = Table(
    "jids",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("jid", Text, nullable=False, unique=True),
)

FACTS = Table(
    "facts",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("what", SmallInteger, nullable=False),  # facts.What
    Column("sender", Integer, nullable=False),  # who wrote; of a read: the writer
    Column("recipient", Integer, nullable=False),  # of a read: the reader
    Column("at", Double, nullable=False),
    Column("stanza_id", Text, nullable=False),  # empty: none
    Column("kind", SmallInteger, nullable=False),  # rules.facts.Kind
    Column("upto", Double),  # of a read: the instant of the message that it names
    Column("tapped", Boolean, nullable=False),  # of a message: the link told it; else an archive did
    Column("voided", Boolean, nullable=False),  # of a message: it bounced
    Column("sender_archive", Text),  # its id in the archive of the sender
    Column("recipient_archive", Text),
)
Index("facts_pair", FACTS.c.sender, FACTS.c.recipient, FACTS.c.at)
for _side in (FACTS.c.sender_archive, FACTS.c.recipient_archive):
    Index(f"facts_{_side.name}", _side, sqlite_where=_side.is_not(None), postgresql_where=_side.is_not(None))
Index("facts_imported", FACTS.c.at, sqlite_where=~FACTS.c.tapped, postgresql_where=~FACTS.c.tapped)

PAIRS = Table(
    "pairs",
    metadata,
    Column("sender", Integer, primary_key=True, autoincrement=False),
    Column("recipient", Integer, primary_key=True, autoincrement=False),
    Column("last_at", Double, nullable=False),
    Column("new_at", Double, nullable=False),
    Column("read_at", Double, nullable=False),
    sqlite_with_rowid=False,
)
"""Derived from facts: rules.facts.Pair."""
Index("pairs_recipient", PAIRS.c.recipient, PAIRS.c.sender)

SCORES = Table(
    "scores",
    metadata,
    Column("sender", Integer, primary_key=True, autoincrement=False),
    Column("recipient", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("total", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Derived from facts: sums of rules.levels.weight."""
Index("scores_recipient", SCORES.c.recipient, SCORES.c.sender)

MARKS = Table(
    "marks",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("epoch", Text, nullable=False),
    Column("n", BigInteger, nullable=False),
)
"""The last hand-over of the link that is stored (docs/link.md, 2)."""

SETTINGS = Table(
    "ledger_settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
"""What the derived tables were made with."""

QUEUE = Table(
    "queue",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("key", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
"""Kept until it is dealt with; ids are never used again."""
Index("queue_key", QUEUE.c.key, QUEUE.c.id)


def upsert(connection: Connection, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """An INSERT that can say what to do on a conflict."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def greater(connection: Connection, one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.max(one, other) if connection.dialect.name == "sqlite" else func.greatest(one, other)


def less(connection: Connection, one: ColumnElement[Any], other: Any) -> ColumnElement[Any]:
    return func.min(one, other) if connection.dialect.name == "sqlite" else func.least(one, other)


def put_all(connection: Connection, statement: Any, rows: Iterable[Mapping[str, Any]]) -> None:
    """Execute for all rows, if there are any."""
    if parameters := list(rows):
        connection.execute(statement, parameters)


def primary_key(table: Table) -> Sequence[Column[Any]]:
    return list(table.primary_key.columns)
