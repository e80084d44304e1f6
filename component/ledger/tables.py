"""The ledger's tables (migrations/versions/0001_ledger.py makes them), and what differs between SQLite and PostgreSQL.

JIDs are interned: `jids.id` stands for a bare JID everywhere. Instants are UNIX seconds.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Subquery,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    func,
    select,
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


def upsert(dialect: str, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """An INSERT that can say what to do on a conflict."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def greater(dialect: str, one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.max(one, other) if dialect == "sqlite" else func.greatest(one, other)


def less(dialect: str, one: ColumnElement[Any], other: Any) -> ColumnElement[Any]:
    return func.min(one, other) if dialect == "sqlite" else func.least(one, other)


def is_listed(dialect: str, column: ColumnElement[Any], parameter: str) -> ColumnElement[bool]:
    """Whether a text is in a parameter that is a JSON array: a list of any length in a statement that stays the same."""
    if dialect == "sqlite":
        return column.in_(select(func.json_each(bindparam(parameter)).table_valued("value").c.value))
    each = select(func.jsonb_array_elements_text(cast(bindparam(parameter), postgresql.JSONB)).column_valued("value"))
    # An array is looked up in the column's index; a set may be joined by reading the whole table.
    return column == any_(func.array(each.scalar_subquery(), type_=postgresql.ARRAY(Text)))


def listed_pairs(dialect: str, parameter: str) -> Subquery:
    """The rows of a parameter that is a JSON array of pairs of numbers: its columns `sender` and `recipient`."""
    if dialect == "sqlite":
        each = func.json_each(bindparam(parameter)).table_valued("value").c.value
        numbers: list[ColumnElement[Any]] = [func.json_extract(each, f"$[{place}]") for place in (0, 1)]
    else:
        pair = func.jsonb_array_elements(cast(bindparam(parameter), postgresql.JSONB), type_=postgresql.JSONB).column_valued("value")
        numbers = [cast(pair[place], Integer) for place in (0, 1)]
    return select(numbers[0].label("sender"), numbers[1].label("recipient")).subquery("listed")
