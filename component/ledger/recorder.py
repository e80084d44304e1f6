"""Writes facts and what is derived from them, inside the writer's transactions. Many facts cost few statements."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, func, or_, select, tuple_, update

from component.ledger.tables import FACTS, JIDS, PAIRS, SCORES, greater, less, put_all, upsert
from component.rules.facts import ArchiveId, Bounce, Fact, Kind, Message, Read
from component.rules.levels import weight
from component.rules.messages import NEAR, Held, match, merge

INTERNED = 50_000
"""JIDs kept in memory with their numbers."""
ID_LENGTH = 128
"""Longer ids, which are anybody's choice, are kept as their digest: an index has bounds, and so has what a stranger can make us store."""
MOST = 2**62 - 1
"""Where the sum of one pair's weights in one epoch stops to grow: some 1,000,000 messages at their heaviest."""

_Ids = tuple[int, int]
"""Sender and recipient, interned."""


class What(IntEnum):
    """The column `facts.what`."""

    MESSAGE = 0
    CORRECTION = 1
    READ = 2
    BOUNCE = 3


IS_MESSAGE = FACTS.c.what <= What.CORRECTION


def short(identity: str) -> str:
    """An id as it is kept."""
    return identity if len(identity) <= ID_LENGTH else blake2b(identity.encode(), digest_size=32).hexdigest()


@dataclass(slots=True)
class _Derived:
    """What a run of facts adds to the derived tables."""

    last_at: dict[_Ids, float] = field(default_factory=lambda: defaultdict(float))
    new_at: dict[_Ids, float] = field(default_factory=lambda: defaultdict(float))
    read_at: dict[_Ids, float] = field(default_factory=lambda: defaultdict(float))
    scores: dict[tuple[int, int, int], int] = field(default_factory=lambda: defaultdict(int))
    moved: set[_Ids] = field(default_factory=set)
    """Pairs where a message is not where it was: their maxima may have fallen."""


class Recorder:
    def __init__(self, half_life: float) -> None:
        self._half_life = half_life
        self._interned: dict[str, int] = {}

    def forget(self) -> None:
        """What was interned may have been rolled back."""
        self._interned.clear()

    def record(self, connection: Connection, facts: Sequence[Fact], tapped: bool) -> list[bool]:
        """Add facts in the order in which they happened; whether each was new.

        The outcome does not depend on how they are grouped into calls.

        Args:
            tapped: the link told them; else they are messages and reads of one archive, the messages with their id in it.
        """
        ids = self._intern(connection, {jid for fact in facts for jid in parties(fact)})
        news: list[bool] = []
        run: list[Message | Read] = []
        for fact in facts:
            if isinstance(fact, Bounce):  # it looks for what came before it
                news += self._record_run(connection, run, tapped, ids)
                run = []
                news.append(self._void(connection, fact, ids))
            else:
                run.append(fact)
        return news + self._record_run(connection, run, tapped, ids)

    def _record_run(self, connection: Connection, run: Sequence[Message | Read], tapped: bool, ids: dict[str, int]) -> list[bool]:
        if not run:
            return []
        messages = [(index, _kept(fact)) for index, fact in enumerate(run) if isinstance(fact, Message)]
        held = self._held(connection, [message for _, message in messages], tapped, ids) if messages else []
        matching = match([message for _, message in messages], held, tapped)
        new = {messages[k][0] for k in matching.new}
        settled = {messages[k][0]: held for k, held in matching.settled.items()}
        kept = dict(messages)
        reads = _Reads(connection, [fact for fact in run if isinstance(fact, Read)], ids)
        rows: list[dict[str, Any]] = []
        updates: list[dict[str, Any]] = []
        derived = _Derived()
        news: list[bool] = []
        for index, fact in enumerate(run):
            if isinstance(fact, Read):
                named = reads.resolve(fact)
                news.append(named is not None)
                if named is not None:
                    pair = ids[fact.writer], ids[fact.reader]
                    derived.read_at[pair] = max(derived.read_at[pair], named.at)
                    rows.append(_row(What.READ, pair, fact.at, named.id, upto=named.at))
                continue
            message = kept[index]
            pair = ids[message.sender], ids[message.recipient]
            news.append(index in new)
            if index in new:
                rows.append(_message_row(pair, Held.of(message, tapped)))
                reads.add(message)
                self._count(derived, pair, message, 1)
            elif index in settled:
                before = settled[index]
                after = merge(before, message, tapped)
                updates.append(_settling(after))
                reads.add(replace(after.message, archive=message.archive))
                if after.message.at != before.message.at:
                    derived.moved.add(pair)
                    self._count(derived, pair, before.message, -1)
                    self._count(derived, pair, after.message, 1)
        put_all(connection, FACTS.insert(), rows)
        put_all(connection, _SETTLE, updates)
        self._derive(connection, derived)
        return news

    def _count(self, derived: _Derived, pair: _Ids, message: Message, by: int) -> None:
        if by > 0:
            derived.last_at[pair] = max(derived.last_at[pair], message.at)
        if message.correction:
            return
        if by > 0:
            derived.new_at[pair] = max(derived.new_at[pair], message.at)
        epoch, heavy = weight(message.at, self._half_life)
        derived.scores[(*pair, epoch)] += by * heavy

    def _derive(self, connection: Connection, derived: _Derived) -> None:
        insert = upsert(connection, PAIRS)
        columns = ("last_at", "new_at", "read_at")
        put_all(
            connection,
            insert.on_conflict_do_update(
                index_elements=["sender", "recipient"],
                set_={name: greater(connection, PAIRS.c[name], insert.excluded[name]) for name in columns},
            ),
            [
                {
                    "sender": pair[0],
                    "recipient": pair[1],
                    "last_at": derived.last_at.get(pair, 0.0),
                    "new_at": derived.new_at.get(pair, 0.0),
                    "read_at": derived.read_at.get(pair, 0.0),
                }
                for pair in derived.last_at.keys() | derived.read_at.keys()
            ],
        )
        insert = upsert(connection, SCORES)
        put_all(
            connection,
            insert.on_conflict_do_update(
                index_elements=["sender", "recipient", "epoch"],
                set_={"total": less(connection, SCORES.c.total + insert.excluded.total, MOST)},
            ),
            [
                {"sender": sender, "recipient": recipient, "epoch": epoch, "total": min(total, MOST)}
                for (sender, recipient, epoch), total in derived.scores.items()
            ],
        )
        put_all(connection, _REFRESH, [{"s": sender, "r": recipient} for sender, recipient in derived.moved])

    def _void(self, connection: Connection, bounce: Bounce, ids: dict[str, int]) -> bool:
        """The newest message of that id until then does not count; False: there is none."""
        pair = ids[bounce.sender], ids[bounce.recipient]
        row = connection.execute(
            select(FACTS.c.id, FACTS.c.what, FACTS.c.at)
            .where(
                FACTS.c.sender == pair[0],
                FACTS.c.recipient == pair[1],
                FACTS.c.stanza_id == short(bounce.id),
                FACTS.c.at <= bounce.at,
                IS_MESSAGE,
                ~FACTS.c.voided,
            )
            .order_by(FACTS.c.at.desc(), FACTS.c.id.desc())
            .limit(1)
        ).one_or_none()
        if row is None:
            return False
        connection.execute(update(FACTS).where(FACTS.c.id == row.id).values(voided=True))
        connection.execute(FACTS.insert(), _row(What.BOUNCE, pair, bounce.at, short(bounce.id)))
        derived = _Derived(moved={pair})
        message = Message(bounce.sender, bounce.recipient, row.at, correction=row.what == What.CORRECTION)
        self._count(derived, pair, message, -1)
        self._derive(connection, derived)
        return True

    def _held(self, connection: Connection, messages: Sequence[Message], tapped: bool, ids: dict[str, int]) -> list[Held]:
        """What the ledger holds that one of these could be of."""
        found: dict[int, Held] = {}
        names = {number: jid for jid, number in ids.items()}
        queries = [_by_archive(side, archive_ids) for side, archive_ids in _archive_ids(messages).items() if archive_ids]
        first, last = min(message.at for message in messages) - NEAR, max(message.at for message in messages) + NEAR
        if tapped:
            # What the link told of stays as it is: it tells of each message once.
            queries.append(_HELD.where(IS_MESSAGE, ~FACTS.c.tapped, FACTS.c.at.between(first, last)))
        else:
            pairs = {(ids[message.sender], ids[message.recipient]) for message in messages}
            queries.append(_HELD.where(_one_of(pairs), IS_MESSAGE, FACTS.c.at.between(first, last)))
        for query in queries:
            for row in connection.execute(query):
                if row.sender in names and row.recipient in names:
                    found[row.id] = _held_of(row, names)
        return list(found.values())

    def _intern(self, connection: Connection, jids: set[str]) -> dict[str, int]:
        if len(self._interned) > INTERNED:
            self._interned.clear()
        known = {jid: self._interned[jid] for jid in jids & self._interned.keys()}
        if len(known) < len(jids):
            missing = jids - known.keys()
            found = _numbers(connection, missing)
            if len(found) < len(missing):
                added = [{"jid": jid} for jid in sorted(missing - found.keys())]
                put_all(connection, upsert(connection, JIDS).on_conflict_do_nothing(), added)
                found = _numbers(connection, missing)
            self._interned.update(found)
            known.update(found)
        return known

    # --- from the facts alone ---

    def rebuild_pairs(self, connection: Connection) -> None:
        """Make `pairs` anew."""
        counts = and_(IS_MESSAGE, ~FACTS.c.voided)
        connection.execute(PAIRS.delete())
        connection.execute(
            PAIRS.insert().from_select(
                ["sender", "recipient", "last_at", "new_at", "read_at"],
                select(
                    FACTS.c.sender,
                    FACTS.c.recipient,
                    func.coalesce(func.max(FACTS.c.at).filter(counts), 0.0),
                    func.coalesce(func.max(FACTS.c.at).filter(counts, FACTS.c.what == What.MESSAGE), 0.0),
                    func.coalesce(func.max(FACTS.c.upto), 0.0),
                ).group_by(FACTS.c.sender, FACTS.c.recipient),
            )
        )

    def rebuild_scores(self, connection: Connection) -> None:
        """Make `scores` anew."""
        connection.execute(SCORES.delete())
        totals: dict[tuple[int, int, int], int] = {}
        rows = connection.execute(
            select(FACTS.c.sender, FACTS.c.recipient, FACTS.c.at)
            .where(FACTS.c.what == What.MESSAGE, ~FACTS.c.voided)
            .order_by(FACTS.c.sender, FACTS.c.recipient)
            .execution_options(yield_per=10_000)
        )
        pair: _Ids | None = None
        for sender, recipient, at in rows:
            if pair != (sender, recipient) and len(totals) >= 10_000:
                _insert_scores(connection, totals)
                totals = {}
            pair = sender, recipient
            epoch, heavy = weight(at, self._half_life)
            totals[(*pair, epoch)] = min(totals.get((*pair, epoch), 0) + heavy, MOST)
        _insert_scores(connection, totals)


class _Reads:
    """Resolves which message a read names, as of its place among the facts of a run."""

    def __init__(self, connection: Connection, reads: Sequence[Read], ids: dict[str, int]) -> None:
        self._read_at: dict[tuple[str, str], float] = {}
        self._by_id: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        self._by_archive: dict[tuple[str, str, ArchiveId], Message] = {}
        self._any = bool(reads)
        if reads:
            self._load(connection, reads, ids)

    def _load(self, connection: Connection, reads: Sequence[Read], ids: dict[str, int]) -> None:
        names = {number: jid for jid, number in ids.items()}
        pairs = {(ids[read.writer], ids[read.reader]) for read in reads}
        # Only what is still unread can be read: no need to look further back, however long the history.
        named = and_(
            FACTS.c.sender == PAIRS.c.sender,
            FACTS.c.recipient == PAIRS.c.recipient,
            FACTS.c.at > PAIRS.c.read_at,
            FACTS.c.stanza_id.in_({short(read.id) for read in reads if read.id}),
            IS_MESSAGE,
            ~FACTS.c.voided,
        )
        for row in connection.execute(
            select(PAIRS.c.sender, PAIRS.c.recipient, PAIRS.c.read_at, FACTS.c.stanza_id, FACTS.c.at)
            .select_from(PAIRS.outerjoin(FACTS, named))
            .where(_one_of(pairs, PAIRS))
        ):
            pair = names[row.sender], names[row.recipient]
            self._read_at[pair] = row.read_at
            if row.at is not None:
                self._by_id[(*pair, row.stanza_id)].append(row.at)
        for side, archive_ids in _archive_ids(reads).items():
            if archive_ids:
                for row in connection.execute(_by_archive(side, archive_ids).where(~FACTS.c.voided)):
                    if row.sender in names and row.recipient in names:
                        held = _held_of(row, names)
                        for by, archive_id in held.archives.items():
                            self.add(replace(held.message, archive=ArchiveId(by, archive_id)))

    def add(self, message: Message) -> None:
        """A message that came before the reads that are resolved from now on."""
        if self._any:
            self._by_id[(message.sender, message.recipient, message.id)].append(message.at)
            if message.archive is not None:
                self._by_archive[(message.sender, message.recipient, message.archive)] = message

    def resolve(self, read: Read) -> Message | None:
        """The message that it names; None: there is none, or it was read before."""
        pair = read.writer, read.reader
        found: Message | None = None
        if read.archive is not None:
            found = self._by_archive.get((*pair, ArchiveId(read.archive.by, short(read.archive.id))))
        elif instants := [at for at in self._by_id.get((*pair, short(read.id)), ()) if read.id and at <= read.at]:
            found = Message(read.writer, read.reader, max(instants), short(read.id))
        if found is None or found.at <= self._read_at.get(pair, 0.0):
            return None
        self._read_at[pair] = found.at
        return found


def parties(fact: Fact) -> tuple[str, str]:
    """Who wrote, and to whom."""
    return (fact.writer, fact.reader) if isinstance(fact, Read) else (fact.sender, fact.recipient)


def _kept(message: Message) -> Message:
    archive = message.archive
    if archive is not None:
        archive = ArchiveId(archive.by, short(archive.id)) if archive.by in (message.sender, message.recipient) else None
    return replace(message, id=short(message.id), archive=archive)


def _row(what: What, pair: _Ids, at: float, stanza_id: str, upto: float | None = None) -> dict[str, Any]:
    return {
        "what": int(what),
        "sender": pair[0],
        "recipient": pair[1],
        "at": at,
        "stanza_id": stanza_id,
        "kind": 0,
        "upto": upto,
        "tapped": True,
        "voided": False,
        "sender_archive": None,
        "recipient_archive": None,
    }


def _message_row(pair: _Ids, held: Held) -> dict[str, Any]:
    message = held.message
    row = _row(What.CORRECTION if message.correction else What.MESSAGE, pair, message.at, message.id)
    row["kind"] = int(message.kind)
    row["tapped"] = held.tapped
    row["sender_archive"] = held.archives.get(message.sender)
    row["recipient_archive"] = held.archives.get(message.recipient)
    return row


def _settling(held: Held) -> dict[str, Any]:
    message = held.message
    return {
        "ref": held.ref,
        "at": message.at,
        "tapped": held.tapped,
        "sender_archive": held.archives.get(message.sender),
        "recipient_archive": held.archives.get(message.recipient),
    }


_SETTLE = update(FACTS).where(FACTS.c.id == bindparam("ref"))
_HELD = select(
    FACTS.c.id,
    FACTS.c.what,
    FACTS.c.sender,
    FACTS.c.recipient,
    FACTS.c.at,
    FACTS.c.stanza_id,
    FACTS.c.kind,
    FACTS.c.tapped,
    FACTS.c.sender_archive,
    FACTS.c.recipient_archive,
)


def _held_of(row: Any, names: dict[int, str]) -> Held:
    sender, recipient = names[row.sender], names[row.recipient]
    message = Message(sender, recipient, row.at, row.stanza_id, kind=Kind(row.kind), correction=row.what == What.CORRECTION)
    archives = {by: each for by, each in ((sender, row.sender_archive), (recipient, row.recipient_archive)) if each is not None}
    return Held(message, row.tapped, archives, row.id)


def _archive_ids(facts: Iterable[Message | Read]) -> dict[str, set[str]]:
    """The archive ids that facts carry, by the column that they stand in."""
    found: dict[str, set[str]] = {"sender_archive": set(), "recipient_archive": set()}
    for fact in facts:
        if fact.archive is not None:
            sender, recipient = parties(fact)
            if fact.archive.by == recipient:
                found["recipient_archive"].add(short(fact.archive.id))
            elif fact.archive.by == sender:
                found["sender_archive"].add(short(fact.archive.id))
    return found


def _by_archive(side: str, archive_ids: set[str]) -> Select[Any]:
    # The partial index is used only where the query says its condition.
    return _HELD.where(FACTS.c[side].in_(archive_ids), FACTS.c[side].is_not(None), IS_MESSAGE)


def _one_of(pairs: Iterable[_Ids], table: Any = FACTS) -> Any:
    return tuple_(table.c.sender, table.c.recipient).in_(sorted(pairs))


def _latest(*what: What) -> Any:
    """The instant of the newest message of a pair that counts: one step in the index."""
    return func.coalesce(
        select(FACTS.c.at)
        .where(
            FACTS.c.sender == bindparam("s"),
            FACTS.c.recipient == bindparam("r"),
            or_(*(FACTS.c.what == each for each in what)),
            ~FACTS.c.voided,
        )
        .order_by(FACTS.c.at.desc())
        .limit(1)
        .scalar_subquery(),
        0.0,
    )


_REFRESH = (
    update(PAIRS)
    .where(PAIRS.c.sender == bindparam("s"), PAIRS.c.recipient == bindparam("r"))
    .values(last_at=_latest(What.MESSAGE, What.CORRECTION), new_at=_latest(What.MESSAGE))
)


def _numbers(connection: Connection, jids: set[str]) -> dict[str, int]:
    return {row.jid: row.id for row in connection.execute(select(JIDS.c.jid, JIDS.c.id).where(JIDS.c.jid.in_(jids)))}


def _insert_scores(connection: Connection, totals: dict[tuple[int, int, int], int]) -> None:
    columns = ("sender", "recipient", "epoch", "total")
    put_all(connection, SCORES.insert(), [dict(zip(columns, (*key, total), strict=True)) for key, total in totals.items()])
