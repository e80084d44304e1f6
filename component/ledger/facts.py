"""The ledger: who wrote to whom and when, and what was read. Facts are kept for good; everything else is derived from them.

A read that names no message that is still unread, and a bounce that names none, change nothing and are not kept. What is said and read in
rooms is kept beside that for the inbox (spec/40-inbox.md); no question here is about it yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import Column, ColumnElement, CompoundSelect, Connection, ScalarSelect, Table, and_, func, literal, or_, select, true

from component.ledger.engine import Database, T, Work
from component.ledger.mark import Handed, is_stored, read_mark, write_mark
from component.ledger.recorder import Recorder, What
from component.ledger.tables import FACTS, JIDS, PAIRS, SCORES, SETTINGS, greater, upsert
from component.rules.facts import ArchiveId, Bounce, Fact, Kind, Message, Pair, Read, Score

__all__ = ["Handed", "Known", "Ledger", "New"]

IMPORTED = 1_000
"""Archive entries in one transaction."""

_ALL = true()


@dataclass(frozen=True, slots=True)
class New:
    """The fact is in the ledger now."""


@dataclass(frozen=True, slots=True)
class Known:
    """The fact was in the ledger before, or changes nothing."""


@dataclass(frozen=True, slots=True)
class _Told:
    facts: Sequence[Fact]
    handed: Handed | None


class Ledger:
    """Made by `open`."""

    def __init__(self, database: Database, half_life: float) -> None:
        self._database = database
        self._recorder = Recorder(half_life)
        self._half_life = half_life
        database.on_rollback(self._recorder.forget)

    @classmethod
    async def open(cls, database: Database, half_life: float = 2_592_000.0) -> "Ledger":
        """`half_life`: seconds in which a message's weight for S4 halves. If it is another than before, the scores are made anew."""
        ledger = cls(database, half_life)
        await database.write(ledger._prepare)
        return ledger

    def _prepare(self, connection: Connection) -> None:
        half_life = connection.scalar(select(SETTINGS.c.value).where(SETTINGS.c.name == "half_life"))
        if half_life != repr(self._half_life):
            self._recorder.rebuild_scores(connection)
            insert = upsert(connection.dialect.name, SETTINGS).values(name="half_life", value=repr(self._half_life))
            connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"value": repr(self._half_life)}))

    def forget(self) -> None:
        """Drop what is kept in memory of the database; called in the writer's thread (erase.Records)."""
        self._recorder.forget()

    # --- facts in ---

    async def record(self, fact: Fact, handed: Handed | None = None) -> New | Known:
        """Add a fact that the link told, in the order of its numbers; durable on return. What was handed over before is Known."""
        return (await self.record_all([fact], handed))[0]

    async def record_all(self, facts: Sequence[Fact], handed: Handed | None = None) -> Sequence[New | Known]:
        """As `record`, for all facts of one hand-over, in one transaction."""
        return await self._database.write_many(self._store, _Told(facts, handed))

    async def acknowledge(self, handed: Handed) -> None:
        """Store that something was handed over that makes no fact."""
        await self.record_all([], handed)

    async def mark(self) -> Handed | None:
        """The last hand-over that is stored; None: there was none yet."""
        return await self._database.read(read_mark)

    def _store(self, connection: Connection, told: Sequence[_Told]) -> list[Sequence[New | Known]]:
        before = mark = read_mark(connection) if any(one.handed for one in told) else None
        fresh: list[_Told | None] = []
        for one in told:
            if one.handed is None:
                fresh.append(one)
            elif is_stored(one.handed, mark):
                fresh.append(None)
            else:
                fresh.append(one)
                mark = one.handed
        news = iter(self._recorder.record(connection, [fact for one in fresh if one for fact in one.facts], tapped=True))
        if mark is not None and mark != before:
            write_mark(connection, mark)
        return [[New() if one_fresh and next(news) else Known() for _ in one.facts] for one, one_fresh in zip(told, fresh, strict=True)]

    async def import_batch(self, owner: str, entries: Sequence[tuple[ArchiveId, Sequence[Fact]]]) -> int:
        """Add entries of a user's archive, oldest first; how many of their facts were new. Importing them again adds nothing.

        Raises ValueError: an entry is not of the archive of `owner`.
        """
        facts: list[Fact] = []
        for archive, found in entries:
            if archive.by != owner:
                raise ValueError(f"an archive id of {archive.by} in the archive of {owner}")
            for fact in found:
                facts.append(replace(fact, archive=archive) if isinstance(fact, Message) else fact)
        new = 0
        for start in range(0, len(facts), IMPORTED):
            new += await self._database.write(partial(self._import, facts[start : start + IMPORTED]))
        return new

    def _import(self, facts: Sequence[Fact], connection: Connection) -> int:
        return sum(self._recorder.record(connection, facts, tapped=False))

    async def rebuild(self) -> None:
        """Drop all that is derived from the facts, and derive it again."""

        def work(connection: Connection) -> None:
            self._recorder.rebuild_pairs(connection)
            self._recorder.rebuild_scores(connection)

        await self._database.write(work)

    # --- questions: of all facts that were recorded before the call, durable yet or not ---

    async def _ask(self, work: Work[T]) -> T:
        await self._database.settled()
        return await self._database.read(work)

    async def pairs(self, user: str, since: float = 0.0) -> Sequence[Pair]:
        """Every pair with this bare JID as sender or recipient, but those where nothing is as new as `since`; in one query."""

        def work(connection: Connection) -> list[Pair]:
            columns = PAIRS.c.last_at, PAIRS.c.new_at, PAIRS.c.read_at
            recent = or_(PAIRS.c.last_at >= since, PAIRS.c.read_at >= since)
            return [
                Pair(user, other, last_at, new_at, read_at) if is_sender else Pair(other, user, last_at, new_at, read_at)
                for is_sender, other, last_at, new_at, read_at in connection.execute(_with(user, PAIRS, *columns, where=recent))
            ]

        return await self._ask(work)

    async def unread(self, reader: str) -> Mapping[str, int]:
        """How many unread messages wait for `reader`, by writer; none where there are none."""

        def work(connection: Connection) -> dict[str, int]:
            back, read_at = _read_at(connection)
            waiting = (
                PAIRS.outerjoin(back, and_(back.c.sender == PAIRS.c.recipient, back.c.recipient == PAIRS.c.sender))
                .join(JIDS, JIDS.c.id == PAIRS.c.sender)
                .join(FACTS, and_(FACTS.c.sender == PAIRS.c.sender, FACTS.c.recipient == PAIRS.c.recipient, FACTS.c.at > read_at))
            )
            query = (
                select(JIDS.c.jid, func.count().label("messages"))
                .select_from(waiting)
                .where(PAIRS.c.recipient == _number(reader), PAIRS.c.new_at > read_at, FACTS.c.what == What.MESSAGE, ~FACTS.c.voided)
                .group_by(JIDS.c.jid)
            )
            return {row.jid: row.messages for row in connection.execute(query)}

        return await self._ask(work)

    async def scores(self, user: str) -> Sequence[Score]:
        """The weights of what `user` wrote and got, by pair and epoch, in one query (rules.levels.score_at adds them up)."""

        def work(connection: Connection) -> list[Score]:
            return [
                Score(user, other, epoch, total) if is_sender else Score(other, user, epoch, total)
                for is_sender, other, epoch, total in connection.execute(_with(user, SCORES, SCORES.c.epoch, SCORES.c.total))
                if total
            ]

        return await self._ask(work)

    async def history(self, one: str, other: str, limit: int) -> Sequence[Fact]:
        """The newest `limit` facts between two bare JIDs, but those of rooms, newest first. Ids of over 128 characters are digests."""

        def work(connection: Connection) -> list[Fact]:
            both = [
                select(FACTS)
                .where(FACTS.c.sender == _number(sender), FACTS.c.recipient == _number(recipient), FACTS.c.what <= What.BOUNCE)
                .order_by(FACTS.c.at.desc(), FACTS.c.id.desc())
                .limit(limit)
                for sender, recipient in ((one, other), (other, one))
            ]
            names = {row.id: row.jid for row in connection.execute(select(JIDS).where(JIDS.c.jid.in_([one, other])))}
            rows = [row for query in both for row in connection.execute(query)]
            rows.sort(key=lambda row: (row.at, row.id), reverse=True)
            return [_fact(row, names) for row in rows[:limit]]

        return await self._ask(work)


def _number(jid: str) -> ScalarSelect[Any]:
    return select(JIDS.c.id).where(JIDS.c.jid == jid).scalar_subquery()


def _with(user: str, table: Table, *columns: Column[Any], where: ColumnElement[bool] = _ALL) -> CompoundSelect[Any]:
    """Of the rows of `pairs` or `scores` with this user: whether as sender, the other's JID, and these columns."""
    both = (table.c.sender, table.c.recipient), (table.c.recipient, table.c.sender)
    sent, received = (
        select(literal(mine is table.c.sender), JIDS.c.jid, *columns).join(JIDS, JIDS.c.id == other).where(mine == _number(user), where)
        for mine, other in both
    )
    return sent.union_all(received)


def _read_at(connection: Connection) -> tuple[Any, Any]:
    """Until when a pair's messages are read: by marker or read state, or because the reader wrote (`back`: the reverse pair)."""
    back = PAIRS.alias("back")
    return back, greater(connection.dialect.name, PAIRS.c.read_at, func.coalesce(back.c.last_at, 0.0))


def _fact(row: Any, names: Mapping[int, str]) -> Fact:
    sender, recipient = names[row.sender], names[row.recipient]
    match What(row.what):
        case What.READ:
            return Read(recipient, sender, row.at, row.stanza_id)
        case What.BOUNCE:
            return Bounce(sender, recipient, row.at, row.stanza_id)
        case what:
            archives = ((recipient, row.recipient_archive), (sender, row.sender_archive))
            archive = next((ArchiveId(by, each) for by, each in archives if each is not None), None)
            return Message(sender, recipient, row.at, row.stanza_id, archive, Kind(row.kind), what is What.CORRECTION)
