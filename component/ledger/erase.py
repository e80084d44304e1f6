"""What is known of one user: told (export) and forgotten (erase), table by table."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Table, or_, select, tuple_, union

from component.ledger.engine import Database
from component.ledger.recorder import What
from component.ledger.tables import FACTS, JIDS, PAIRS, QUEUE, SCORES

Row = Mapping[str, Any]
"""Column → value, as JSON has them; bytes as base64."""


@dataclass(frozen=True, slots=True)
class Part:
    """A table's share in it. `user`: a bare JID."""

    table: str
    rows: Callable[[Connection, str], Sequence[Row]]
    erase: Callable[[Connection, str], None]


def by_columns(table: Table, *columns: Column[Any]) -> Part:
    """The share of a table where every row with the user's bare JID in one of `columns` is about the user."""

    def is_of(user: str) -> Any:
        return or_(*(column == user for column in columns))

    def rows(connection: Connection, user: str) -> Sequence[Row]:
        found = connection.execute(select(table).where(is_of(user)).order_by(*table.primary_key.columns))
        return [_plain(row) for row in found.mappings()]

    def erase(connection: Connection, user: str) -> None:
        connection.execute(table.delete().where(is_of(user)))

    return Part(table.name, rows, erase)


class Records:
    """Knows the tables that hold something of a user: the ledger's own from the start, others by `register`."""

    def __init__(self, database: Database, forget: Callable[[], None]) -> None:
        """`forget`: the ledger's, so that it does not go on with the number of a JID that is no more."""
        self._database = database
        self._forget = forget
        self._parts: dict[str, Part] = {part.table: part for part in (_of_pair(FACTS), _of_pair(SCORES), _of_pair(PAIRS), _QUEUE)}

    def register(self, part: Part) -> None:
        """Raises ValueError: this table is registered already."""
        if part.table in self._parts:
            raise ValueError(f"table {part.table} is registered twice")
        self._parts[part.table] = part

    async def export(self, user: str) -> Mapping[str, Sequence[Row]]:
        """All that is known of a user (bare JID), by table; tables that know nothing are left out."""

        def work(connection: Connection) -> dict[str, Sequence[Row]]:
            found = {part.table: part.rows(connection, user) for part in self._parts.values()}
            return {table: rows for table, rows in found.items() if rows}

        return await self._database.read(work)

    async def erase(self, user: str) -> None:
        """Forget all of it, what others wrote to the user too; durable on return. What comes after is remembered anew."""

        def work(connection: Connection) -> None:
            for part in self._parts.values():
                part.erase(connection, user)
            connection.execute(JIDS.delete().where(JIDS.c.jid == user))
            self._forget()

        await self._database.write(work)


def _of_pair(table: Table) -> Part:
    """A table of the ledger's, where JIDs are interned and `pairs` says which rows there are."""

    def is_of(user: str) -> Any:
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
            .where(is_of(user))
            .order_by(*table.primary_key.columns)
        )
        return [_plain(row) for row in connection.execute(query).mappings()]

    def erase(connection: Connection, user: str) -> None:
        connection.execute(table.delete().where(is_of(user)))

    return Part(table.name, rows, erase)


def _queued_of(user: str) -> Any:
    """The keys are made of the JIDs concerned, with spaces between them."""
    key = QUEUE.c.key
    return or_(
        key == user,
        key.startswith(f"{user} ", autoescape=True),
        key.endswith(f" {user}", autoescape=True),
        key.contains(f" {user} ", autoescape=True),
    )


def _queue_rows(connection: Connection, user: str) -> Sequence[Row]:
    return [_plain(row) for row in connection.execute(select(QUEUE).where(_queued_of(user)).order_by(QUEUE.c.id)).mappings()]


def _erase_queued(connection: Connection, user: str) -> None:
    connection.execute(QUEUE.delete().where(_queued_of(user)))


_QUEUE = Part(QUEUE.name, _queue_rows, _erase_queued)


def _plain(row: Mapping[Any, Any]) -> Row:
    plain: dict[str, Any] = {
        str(name): base64.b64encode(value).decode() if isinstance(value, bytes) else value for name, value in row.items()
    }
    if "what" in plain:
        plain["what"] = What(plain["what"]).name.lower()
    return plain
