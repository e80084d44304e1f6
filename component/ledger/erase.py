"""What is kept of one user: told (export) and forgotten (erase), table by table."""

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Table, func, or_, select, tuple_, union, union_all

from component.ledger.engine import Database
from component.ledger.mark import Handed, is_stored, read_mark, write_mark
from component.ledger.recorder import What
from component.ledger.tables import FACTS, JIDS, PAIRS, QUEUE, SCORES
from component.rules.addresses import escape
from component.rules.facts import Kind
from stanzas.jid import bare

Row = Mapping[str, Any]
"""Column → value, as JSON has them; bytes as base64."""
JSON = {"json": True}
"""The `info` of a column whose texts are JSON: they are told as what they mean."""


def _nobody(_connection: Connection) -> Iterable[tuple[str, int]]:
    return ()


@dataclass(frozen=True, slots=True)
class Part:
    """A table's share in it. `user`: a bare JID."""

    table: str
    rows: Callable[[Connection, str], Sequence[Row]]
    erase: Callable[[Connection, str], None]
    count: Callable[[Connection], Iterable[tuple[str, int]]] = _nobody
    """(JID, number of rows) of everybody, a JID as often as it likes."""


def by_columns(table: Table, *columns: Column[Any], resources: bool = False) -> Part:
    """The share of a table where every row with the user's JID in one of `columns` is about the user.

    `resources`: the columns may hold full JIDs, which are the user's too.
    """

    def where(user: str) -> Any:
        return or_(*(is_of(column, user) if resources else column == user for column in columns))

    def rows(connection: Connection, user: str) -> Sequence[Row]:
        return rows_where(connection, table, where(user))

    def erase(connection: Connection, user: str) -> None:
        connection.execute(table.delete().where(where(user)))

    def count(connection: Connection) -> Iterable[tuple[str, int]]:
        each = union_all(*(select(column, func.count()).where(column.is_not(None)).group_by(column) for column in columns))
        return [(jid, number) for jid, number in connection.execute(each)]

    return Part(table.name, rows, erase, count)


def is_of(column: Column[Any], user: str) -> Any:
    """Whether a column holds the user's bare JID or a full one of theirs."""
    return or_(column == user, func.substr(column, 1, len(user) + 1) == f"{user}/")


def rows_where(connection: Connection, table: Table, condition: Any) -> Sequence[Row]:
    """The rows of a table for which the condition holds, in the order of its key."""
    found = connection.execute(select(table).where(condition).order_by(*table.primary_key.columns))
    told = {column.name: json.loads if column.info == JSON else _plain for column in table.columns}
    return [{name: tell(row[name]) for name, tell in told.items()} for row in found.mappings()]


class Records:
    """Knows the tables that hold something of a user: the ledger's own, and those of the capabilities (`parts`)."""

    def __init__(self, database: Database, forget: Callable[[], None], parts: Iterable[Part] = ()) -> None:
        """`forget`: the ledger's, so that it does not go on with the number of a JID that is no more.

        Raises ValueError: a table is named twice.
        """
        self._database = database
        self._forget = forget
        self._parts: list[Part] = []
        for part in (_of_pair(FACTS), _of_pair(SCORES), _of_pair(PAIRS), _QUEUE, *parts):
            if part.table in (known.table for known in self._parts):
                raise ValueError(f"table {part.table} is named twice")
            self._parts.append(part)

    async def users(self) -> Mapping[str, Mapping[str, int]]:
        """Of how many rows each bare JID is the subject, by table; those that wait in the queue are left out."""

        def work(connection: Connection) -> dict[str, Counter[str]]:
            found: dict[str, Counter[str]] = defaultdict(Counter)
            for part in self._parts:
                for jid, number in part.count(connection):
                    found[bare(jid)][part.table] += number
            return found

        return await self._database.read(work)

    async def export(self, user: str) -> Mapping[str, Sequence[Row]]:
        """All that is known of a user (bare JID), by table; tables that know nothing are left out."""

        def work(connection: Connection) -> dict[str, Sequence[Row]]:
            found = {part.table: part.rows(connection, user) for part in self._parts}
            return {table: rows for table, rows in found.items() if rows}

        await self._database.settled()
        return await self._database.read(work)

    async def erase(self, user: str, handed: Handed | None = None) -> None:
        """Forget all of it, what others wrote to the user too; durable on return. What comes after is remembered anew.

        `handed`: the hand-over of the link that says so (docs/link.md, 2); what was stored before is not done again.
        """

        def work(connection: Connection) -> None:
            if handed is not None:
                if is_stored(handed, read_mark(connection)):
                    return
                write_mark(connection, handed)
            for part in self._parts:
                part.erase(connection, user)
            connection.execute(JIDS.delete().where(JIDS.c.jid == user))
            self._forget()

        await self._database.write(work)


def _of_pair(table: Table) -> Part:
    """A table of the ledger's, where JIDs are interned and `pairs` says which rows there are."""

    def is_about(user: str) -> Any:
        number = select(JIDS.c.id).where(JIDS.c.jid == user).scalar_subquery()
        # Two steps in an index each; an OR would read the whole table.
        pairs = [select(PAIRS.c.sender, PAIRS.c.recipient).where(side == number) for side in (PAIRS.c.sender, PAIRS.c.recipient)]
        return tuple_(table.c.sender, table.c.recipient).in_(union(*pairs))

    def rows(connection: Connection, user: str) -> Sequence[Row]:
        sender, recipient = JIDS.alias("sender_jid"), JIDS.alias("recipient_jid")
        others = [column for column in table.columns if column.name not in ("id", "sender", "recipient")]
        query = (
            select(sender.c.jid.label("sender"), recipient.c.jid.label("recipient"), *others)
            .select_from(table.join(sender, sender.c.id == table.c.sender).join(recipient, recipient.c.id == table.c.recipient))
            .where(is_about(user))
            .order_by(*table.primary_key.columns)
        )
        return [(_fact(row) if table is FACTS else dict(row)) for row in connection.execute(query).mappings()]

    def erase(connection: Connection, user: str) -> None:
        connection.execute(table.delete().where(is_about(user)))

    def count(connection: Connection) -> Iterable[tuple[str, int]]:
        sides = (table.c.sender, table.c.recipient)
        numbers = union_all(*(select(side.label("id"), func.count().label("number")).group_by(side) for side in sides)).subquery()
        query = select(JIDS.c.jid, numbers.c.number).join(JIDS, JIDS.c.id == numbers.c.id)
        return [(jid, number) for jid, number in connection.execute(query)]

    return Part(table.name, rows, erase, count)


def _waits_for(user: str) -> Any:
    """Keys are made of the JIDs concerned, with spaces between them; some stand for the user by an address of the component's own."""
    spaced = " " + QUEUE.c.key
    own = (f" {user} ", f" {escape(user)}@", f" {escape(user)}%")
    return or_(*((spaced + " ").contains(each, autoescape=True) for each in own))


def _queue_rows(connection: Connection, user: str) -> Sequence[Row]:
    return rows_where(connection, QUEUE, _waits_for(user))


def _erase_queued(connection: Connection, user: str) -> None:
    connection.execute(QUEUE.delete().where(_waits_for(user)))


_QUEUE = Part(QUEUE.name, _queue_rows, _erase_queued)


def _fact(row: Mapping[Any, Any]) -> Row:
    what = What(row["what"])
    kind = None if what in (What.READ, What.BOUNCE, What.ROOM_READ) else Kind(row["kind"]).name.lower()
    return {**row, "what": what.name.lower(), "kind": kind}


def _plain(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
