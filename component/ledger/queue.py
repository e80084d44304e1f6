"""What must not be lost before it is dealt with: stored first, then acted on, then removed."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Select, select

from component.ledger.engine import Database
from component.ledger.mark import Handed, is_stored, read_mark, write_mark
from component.ledger.tables import QUEUE


@dataclass(frozen=True, slots=True)
class Item:
    """Something that waits. `id` grows with each and is never used again; `at`: UNIX seconds."""

    id: int
    key: str
    at: float
    payload: bytes


@dataclass(frozen=True, slots=True)
class _Put:
    key: str
    payload: bytes
    at: float
    handed: Handed | None


class Queue:
    """A durable queue in the ledger's database. It has no bound of its own: who puts knows what is too much, and answers it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, key: str, payload: bytes, at: float, handed: Handed | None = None) -> int | None:
        """Store an item, in one transaction with the link's mark; its id, or None if this hand-over was stored before."""
        return await self._database.write_many(_store, _Put(key, payload, at, handed))

    async def remove(self, ids: Sequence[int]) -> None:
        """Remove what is dealt with; ids that are not there are no mistake."""
        await self._database.write_many(_remove, ids)

    async def waiting(self, key: str) -> Sequence[Item]:
        """What waits under this key, oldest first."""
        return await self._database.read(lambda connection: _items(connection, select(QUEUE).where(QUEUE.c.key == key)))

    async def all(self) -> Sequence[Item]:
        """Everything that waits, oldest first."""
        return await self._database.read(lambda connection: _items(connection, select(QUEUE)))


def _store(connection: Connection, puts: Sequence[_Put]) -> list[int | None]:
    before = mark = read_mark(connection) if any(put.handed for put in puts) else None
    fresh: list[bool] = []
    for put in puts:
        fresh.append(put.handed is None or not is_stored(put.handed, mark))
        if fresh[-1] and put.handed is not None:
            mark = put.handed
    if mark is not None and mark != before:
        write_mark(connection, mark)
    rows = [{"key": put.key, "payload": put.payload, "at": put.at} for put, is_fresh in zip(puts, fresh, strict=True) if is_fresh]
    ids = iter(connection.scalars(QUEUE.insert().returning(QUEUE.c.id, sort_by_parameter_order=True), rows).all() if rows else ())
    return [next(ids) if is_fresh else None for is_fresh in fresh]


def _remove(connection: Connection, removed: Sequence[Sequence[int]]) -> list[None]:
    connection.execute(QUEUE.delete().where(QUEUE.c.id.in_([item_id for ids in removed for item_id in ids])))
    return [None] * len(removed)


def _items(connection: Connection, query: Select[tuple[int, str, float, bytes]]) -> list[Item]:
    return [Item(row.id, row.key, row.at, row.payload) for row in connection.execute(query.order_by(QUEUE.c.id))]
