"""How far the link's hand-over is stored (docs/link.md, 2): kept in the same transaction as what was handed over."""

from dataclasses import dataclass

from sqlalchemy import ClauseElement, Connection, select

from component.ledger.statement import Statement
from component.ledger.tables import MARKS, upsert


@dataclass(frozen=True, slots=True)
class Handed:
    """The number under which the module handed something over: `n` of its counter's run `epoch`."""

    epoch: str
    n: int


def read_mark(connection: Connection) -> Handed | None:
    """The last hand-over that is stored; None: there was none yet."""
    row = _READ.one(connection).one_or_none()
    return None if row is None else Handed(row.epoch, row.n)


def is_stored(handed: Handed, mark: Handed | None) -> bool:
    """Whether this one was stored before. A new epoch starts anew: nothing of an older one comes after it."""
    return mark is not None and handed.epoch == mark.epoch and handed.n <= mark.n


def write_mark(connection: Connection, mark: Handed) -> None:
    _WRITE.one(connection, 1, mark.epoch, mark.n)


def _write(dialect: str) -> ClauseElement:
    insert = upsert(dialect, MARKS)
    return insert.on_conflict_do_update(index_elements=["one"], set_={"epoch": insert.excluded.epoch, "n": insert.excluded.n})


_READ = Statement(lambda _dialect: select(MARKS.c.epoch, MARKS.c.n))
_WRITE = Statement(_write, "one", "epoch", "n")
