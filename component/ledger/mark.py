"""How far the link's hand-over is stored (docs/link.md, 2): kept in the same transaction as what was handed over."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from component.ledger.tables import MARKS, upsert


@dataclass(frozen=True, slots=True)
class Handed:
    """The number under which the module handed something over: `n` of its counter's run `epoch`."""

    epoch: str
    n: int


def read_mark(connection: Connection) -> Handed | None:
    """The last hand-over that is stored; None: there was none yet."""
    row = connection.execute(select(MARKS.c.epoch, MARKS.c.n)).one_or_none()
    return None if row is None else Handed(row.epoch, row.n)


def is_stored(handed: Handed, mark: Handed | None) -> bool:
    """Whether this one was stored before. A new epoch starts anew: nothing of an older one comes after it."""
    return mark is not None and handed.epoch == mark.epoch and handed.n <= mark.n


def write_mark(connection: Connection, mark: Handed) -> None:
    insert = upsert(connection, MARKS).values(one=1, epoch=mark.epoch, n=mark.n)
    connection.execute(insert.on_conflict_do_update(index_elements=[MARKS.c.one], set_={"epoch": mark.epoch, "n": mark.n}))
