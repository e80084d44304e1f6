"""Writes facts and what is derived from them, inside the writer's transactions. Many facts cost few statements."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, func, literal_column, select, update

from component.ledger.statement import Insertion, Statement
from component.ledger.tables import FACTS, JIDS, PAIRS, SCORES, greater, is_listed, less, listed_pairs
from component.rules.facts import ArchiveId, Bounce, Fact, Kind, Message, Read, RoomMessage, RoomRead, parties
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
    ROOM = 4
    """Its recipient is the room. Like what follows, it is no message between users, and nothing is derived from it."""
    NAMED = 5
    """From the room to a user: the ROOM of that instant is a mention or a reply to them."""
    ROOM_READ = 6


_IS_MESSAGE = FACTS.c.what <= What.CORRECTION
_FACT_COLUMNS = tuple(column.name for column in FACTS.columns if column.name != "id")


def short(identity: str) -> str:
    """An id as it is kept."""
    return identity if len(identity) <= ID_LENGTH else blake2b(identity.encode(), digest_size=32).hexdigest()


def _jids(fact: Fact) -> Iterable[str]:
    yield from parties(fact)
    if isinstance(fact, RoomMessage):
        yield from (user for user, _ in fact.named)


@dataclass(slots=True)
class _Derived:
    """What a run of facts adds to the derived tables."""

    instants: dict[_Ids, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0, 0.0]))
    """The maxima of `pairs`: last_at, new_at, read_at."""
    totals: dict[tuple[int, int, int], int] = field(default_factory=lambda: defaultdict(int))
    moved: set[_Ids] = field(default_factory=set)
    """Pairs where a message is not where it was: their maxima may have fallen."""


class Recorder:
    """Used in the writer's thread alone. `half_life`: seconds (spec/30-levels.md)."""

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
        ids = self._intern(connection, {jid for fact in facts for jid in _jids(fact)})
        news: list[bool] = []
        run: list[Message | Read] = []
        in_rooms: list[RoomMessage | RoomRead] = []
        for fact in facts:
            match fact:
                case RoomMessage() | RoomRead():
                    in_rooms.append(fact)
                case Bounce():  # it looks for what came before it
                    news += self._record_run(connection, run, tapped, ids)
                    run = []
                    news.append(self._void(connection, fact, ids))
                case _:
                    run.append(fact)
        news += self._record_run(connection, run, tapped, ids)
        if not in_rooms:
            return news
        between_users, rooms = iter(news), iter(_record_in_rooms(connection, in_rooms, ids))
        return [next(rooms if isinstance(fact, RoomMessage | RoomRead) else between_users) for fact in facts]

    def _record_run(self, connection: Connection, run: Sequence[Message | Read], tapped: bool, ids: Mapping[str, int]) -> list[bool]:
        if not run:
            return []
        messages = [_kept(fact) for fact in run if isinstance(fact, Message)]
        matching = match(messages, _held(connection, messages, tapped, ids), tapped)
        new = set(matching.new)
        reads = _Reads(connection, [fact for fact in run if isinstance(fact, Read)], ids)
        rows: list[tuple[Any, ...]] = []
        settled: list[tuple[Any, ...]] = []
        derived = _Derived()
        news: list[bool] = []
        index = -1
        for fact in run:
            if isinstance(fact, Read):
                named = reads.resolve(fact)
                news.append(named is not None)
                if named is not None:
                    pair = ids[fact.writer], ids[fact.reader]
                    instants = derived.instants[pair]
                    instants[2] = max(instants[2], named.at)
                    rows.append((int(What.READ), *pair, fact.at, named.id, 0, named.at, True, False, None, None))
                continue
            index += 1
            message = messages[index]
            pair = ids[message.sender], ids[message.recipient]
            news.append(index in new)
            if index in new:
                rows.append(_message_row(pair, message, tapped))
                reads.add(message)
                self._count(derived, pair, message, 1)
            elif index in matching.settled:
                before = matching.settled[index]
                after = merge(before, message, tapped)
                settled.append(_settled_row(after))
                reads.add(replace(after.message, archive=message.archive))
                if after.message.at != before.message.at:
                    derived.moved.add(pair)
                    self._count(derived, pair, before.message, -1)
                    self._count(derived, pair, after.message, 1)
        _ADD_FACT.many(connection, rows)
        _SETTLE.many(connection, settled)
        _derive(connection, derived)
        return news

    def _count(self, derived: _Derived, pair: _Ids, message: Message, by: int) -> None:
        """Add (`by` 1) or take away (-1) what a message adds to the derived tables; what falls by it is `moved`."""
        at = message.at
        if by > 0:
            instants = derived.instants[pair]
            if at > instants[0]:
                instants[0] = at
            if at > instants[1] and not message.correction:
                instants[1] = at
        if not message.correction:
            epoch, heavy = weight(at, self._half_life)
            derived.totals[(*pair, epoch)] += by * heavy

    def _void(self, connection: Connection, bounce: Bounce, ids: Mapping[str, int]) -> bool:
        """The newest message of that id until then does not count; False: there is none."""
        pair = ids[bounce.sender], ids[bounce.recipient]
        row = _BOUNCED.one(connection, *pair, short(bounce.id), bounce.at).one_or_none()
        if row is None:
            return False
        _VOID.one(connection, row.id)
        _ADD_FACT.one(connection, int(What.BOUNCE), *pair, bounce.at, short(bounce.id), 0, None, True, False, None, None)
        derived = _Derived(moved={pair})
        message = Message(bounce.sender, bounce.recipient, row.at, correction=row.what == What.CORRECTION)
        self._count(derived, pair, message, -1)
        _derive(connection, derived)
        return True

    def _intern(self, connection: Connection, jids: set[str]) -> Mapping[str, int]:
        if len(self._interned) > INTERNED:
            self._interned.clear()
        missing = jids - self._interned.keys()
        if missing:
            found = _numbers(connection, missing)
            if len(found) < len(missing):
                _ADD_JID.many(connection, [(jid,) for jid in sorted(missing - found.keys())])
                found = _numbers(connection, missing)
            self._interned.update(found)
        return self._interned

    # --- from the facts alone ---

    def rebuild_pairs(self, connection: Connection) -> None:
        """Make `pairs` anew."""
        counts = and_(_IS_MESSAGE, ~FACTS.c.voided)
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
        messages = (
            select(FACTS.c.sender, FACTS.c.recipient, FACTS.c.at)
            .where(FACTS.c.what == What.MESSAGE, ~FACTS.c.voided)
            .order_by(FACTS.c.sender, FACTS.c.recipient)
            .execution_options(yield_per=10_000)
        )
        pair: _Ids | None = None
        for sender, recipient, at in connection.execute(messages):
            if pair != (sender, recipient) and len(totals) >= 10_000:
                _add_totals(connection, totals)
                totals = {}
            pair = sender, recipient
            epoch, heavy = weight(at, self._half_life)
            totals[(*pair, epoch)] = totals.get((*pair, epoch), 0) + heavy
        _add_totals(connection, totals)


class _Reads:
    """Resolves which message a read names, as of its place among the facts of a run."""

    def __init__(self, connection: Connection, reads: Sequence[Read], ids: Mapping[str, int]) -> None:
        self._read_at: dict[tuple[str, str], float] = {}
        self._by_id: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        self._by_archive: dict[tuple[str, str, ArchiveId], Message] = {}
        self._any = bool(reads)
        if reads:
            names = {ids[jid]: jid for read in reads for jid in parties(read)}
            pairs = {(ids[read.writer], ids[read.reader]) for read in reads}
            for row in _UNREAD.one(connection, json.dumps(list(pairs)), json.dumps(list({short(read.id) for read in reads if read.id}))):
                pair = names[row.sender], names[row.recipient]
                self._read_at[pair] = row.read_at
                if row.at is not None:
                    self._by_id[(*pair, row.stanza_id)].append(row.at)
            sent, received = _archive_ids(reads)
            if sent or received:
                for row in _BY_ARCHIVE.one(connection, json.dumps(sent), json.dumps(received)):
                    if not row.voided and row.sender in names and row.recipient in names:
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
        elif read.id:
            instants = [at for at in self._by_id.get((*pair, short(read.id)), ()) if at <= read.at]
            found = Message(*pair, max(instants), short(read.id)) if instants else None
        if found is None or found.at <= self._read_at.get(pair, 0.0):
            return None
        self._read_at[pair] = found.at
        return found


def _held(connection: Connection, messages: Sequence[Message], tapped: bool, ids: Mapping[str, int]) -> list[Held]:
    """What the ledger holds that one of these could be of."""
    if not messages:
        return []
    sent, received = map(json.dumps, _archive_ids(messages))
    instants = [message.at for message in messages]
    near = min(instants) - NEAR, max(instants) + NEAR
    if tapped:
        rows = _HELD_FOR_TAPS.one(connection, sent, received, *near).all()
    else:
        pairs = json.dumps(list({(ids[message.sender], ids[message.recipient]) for message in messages}))
        rows = _HELD_FOR_ARCHIVE.one(connection, sent, received, *near, pairs).all()
    if not rows:
        return []
    names = {ids[jid]: jid for message in messages for jid in parties(message)}
    return list({row.id: _held_of(row, names) for row in rows if row.sender in names and row.recipient in names}.values())


def _held_of(row: Any, names: Mapping[int, str]) -> Held:
    sender, recipient = names[row.sender], names[row.recipient]
    message = Message(sender, recipient, row.at, row.stanza_id, kind=Kind(row.kind), correction=row.what == What.CORRECTION)
    archives = {by: each for by, each in ((sender, row.sender_archive), (recipient, row.recipient_archive)) if each is not None}
    return Held(message, bool(row.tapped), archives, row.id)


def _archive_ids(facts: Iterable[Message | Read]) -> tuple[list[str], list[str]]:
    """The ids in archives of senders and of recipients that facts carry."""
    sent, received = [], []
    for fact in facts:
        if fact.archive is not None:
            sender, recipient = parties(fact)
            if fact.archive.by == recipient:
                received.append(short(fact.archive.id))
            elif fact.archive.by == sender:
                sent.append(short(fact.archive.id))
    return sent, received


def _kept(message: Message) -> Message:
    """A message as it is kept: ids within bounds, and no id of a third one's archive."""
    archive = message.archive
    if archive is not None:
        if archive.by not in (message.sender, message.recipient):
            archive = None
        elif len(archive.id) > ID_LENGTH:
            archive = ArchiveId(archive.by, short(archive.id))
    if archive is message.archive and len(message.id) <= ID_LENGTH:
        return message
    return replace(message, id=short(message.id), archive=archive)


def _message_row(pair: _Ids, message: Message, tapped: bool) -> tuple[Any, ...]:
    """In the order of `_FACT_COLUMNS`."""
    what = int(What.CORRECTION) if message.correction else int(What.MESSAGE)
    sender_archive = recipient_archive = None
    if message.archive is not None:
        if message.archive.by == message.recipient:
            recipient_archive = message.archive.id
        else:
            sender_archive = message.archive.id
    return what, *pair, message.at, message.id, int(message.kind), None, tapped, False, sender_archive, recipient_archive


def _record_in_rooms(connection: Connection, facts: Sequence[RoomMessage | RoomRead], ids: Mapping[str, int]) -> list[bool]:
    """Add what happened in rooms, and the pairs that say whose it is (erase.Records); whether each was new.

    A read where nothing was said that we know of is none.
    """
    rows: list[tuple[Any, ...]] = []
    news: list[bool] = []
    said_in: set[str] = set()
    for fact in facts:
        is_new = isinstance(fact, RoomMessage) or fact.room in said_in or _SAID_IN.one(connection, ids[fact.room]).first() is not None
        news.append(is_new)
        if is_new:
            said_in.add(fact.room)
            rows += _room_rows(fact, ids)
    _ADD_FACT.many(connection, rows)
    _derive(connection, _Derived(instants={(sender, recipient): [0.0] * 3 for _, sender, recipient, *_ in rows}))
    return news


def _room_rows(fact: RoomMessage | RoomRead, ids: Mapping[str, int]) -> Iterable[tuple[Any, ...]]:
    """In the order of `_FACT_COLUMNS`."""
    room = ids[fact.room]
    if isinstance(fact, RoomRead):
        yield int(What.ROOM_READ), room, ids[fact.reader], fact.at, short(fact.id), 0, None, True, False, None, None
        return
    archive, identity = short(fact.archive.id) if fact.archive else None, short(fact.id)
    yield int(What.ROOM), ids[fact.sender], room, fact.at, identity, int(fact.kind), None, True, False, None, archive
    for user, kind in fact.named:
        yield int(What.NAMED), room, ids[user], fact.at, identity, int(kind), None, True, False, archive, None


def _settled_row(held: Held) -> tuple[Any, ...]:
    message = held.message
    return message.at, held.tapped, held.archives.get(message.sender), held.archives.get(message.recipient), held.ref


def _derive(connection: Connection, derived: _Derived) -> None:
    _RAISE_PAIR.many(connection, [(*pair, *instants) for pair, instants in derived.instants.items()])
    _add_totals(connection, derived.totals)
    _REFRESH_PAIR.many(connection, list(derived.moved))


def _add_totals(connection: Connection, totals: Mapping[tuple[int, int, int], int]) -> None:
    _ADD_TOTAL.many(connection, [(*key, min(total, MOST)) for key, total in totals.items()])


def _numbers(connection: Connection, jids: Collection[str]) -> dict[str, int]:
    return {row.jid: row.id for row in _NUMBERS.one(connection, json.dumps(list(jids)))}


# --- the statements ---

_HELD = select(
    FACTS.c.id,
    FACTS.c.what,
    FACTS.c.sender,
    FACTS.c.recipient,
    FACTS.c.at,
    FACTS.c.stanza_id,
    FACTS.c.kind,
    FACTS.c.tapped,
    FACTS.c.voided,
    FACTS.c.sender_archive,
    FACTS.c.recipient_archive,
).where(_IS_MESSAGE)


def _by_archive(dialect: str) -> list[Select[Any]]:
    # A partial index is used only where the query says its condition.
    return [
        _HELD.where(is_listed(dialect, column, parameter), column.is_not(None))
        for column, parameter in ((FACTS.c.sender_archive, "sent"), (FACTS.c.recipient_archive, "received"))
    ]


def _held_for_taps(dialect: str) -> Any:
    """By archive id, or near and not told by the link yet: it tells of each message once."""
    sent, received = _by_archive(dialect)
    return sent.union_all(received, _HELD.where(~FACTS.c.tapped, FACTS.c.at.between(bindparam("first"), bindparam("last"))))


def _held_for_archive(dialect: str) -> Any:
    sent, received = _by_archive(dialect)
    pairs = listed_pairs(dialect, "pairs")
    near = _HELD.join(pairs, and_(FACTS.c.sender == pairs.c.sender, FACTS.c.recipient == pairs.c.recipient)).where(
        FACTS.c.at.between(bindparam("first"), bindparam("last"))
    )
    return sent.union_all(received, near)


def _unread(dialect: str) -> Any:
    """Messages of these ids and pairs that are not read: no need to look further back, however long the history."""
    pairs = listed_pairs(dialect, "pairs")
    named = and_(
        FACTS.c.sender == PAIRS.c.sender,
        FACTS.c.recipient == PAIRS.c.recipient,
        FACTS.c.at > PAIRS.c.read_at,
        is_listed(dialect, FACTS.c.stanza_id, "ids"),
        _IS_MESSAGE,
        ~FACTS.c.voided,
    )
    return select(PAIRS.c.sender, PAIRS.c.recipient, PAIRS.c.read_at, FACTS.c.stanza_id, FACTS.c.at).select_from(
        pairs.join(PAIRS, and_(PAIRS.c.sender == pairs.c.sender, PAIRS.c.recipient == pairs.c.recipient)).outerjoin(FACTS, named)
    )


def _bounced(_dialect: str) -> Any:
    return (
        select(FACTS.c.id, FACTS.c.what, FACTS.c.at)
        .where(
            FACTS.c.sender == bindparam("s"),
            FACTS.c.recipient == bindparam("r"),
            FACTS.c.stanza_id == bindparam("stanza_id"),
            FACTS.c.at <= bindparam("at"),
            _IS_MESSAGE,
            ~FACTS.c.voided,
        )
        .order_by(FACTS.c.at.desc(), FACTS.c.id.desc())
        .limit(1)
    )


def _raise_pair(dialect: str, insert: Any) -> Any:
    raised = {name: greater(dialect, PAIRS.c[name], insert.excluded[name]) for name in ("last_at", "new_at", "read_at")}
    return insert.on_conflict_do_update(index_elements=["sender", "recipient"], set_=raised)


def _refresh_pair(_dialect: str) -> Any:
    """The instants of the newest messages that count: a step or two in the index."""

    def latest(which: Any) -> Any:
        newest = (
            select(FACTS.c.at)
            .where(FACTS.c.sender == bindparam("s"), FACTS.c.recipient == bindparam("r"), which, ~FACTS.c.voided)
            .order_by(FACTS.c.at.desc())
            .limit(1)
        )
        return func.coalesce(newest.scalar_subquery(), 0.0)

    return (
        update(PAIRS)
        .where(PAIRS.c.sender == bindparam("s"), PAIRS.c.recipient == bindparam("r"))
        .values(last_at=latest(_IS_MESSAGE), new_at=latest(FACTS.c.what == What.MESSAGE))
    )


def _add_total(dialect: str, insert: Any) -> Any:
    total = less(dialect, SCORES.c.total + insert.excluded.total, literal_column(str(MOST)))
    return insert.on_conflict_do_update(index_elements=["sender", "recipient", "epoch"], set_={"total": total})


def _settle(_dialect: str) -> Any:
    columns = ("at", "tapped", "sender_archive", "recipient_archive")
    return update(FACTS).where(FACTS.c.id == bindparam("ref")).values({name: bindparam(f"new_{name}") for name in columns})


_ADD_FACT = Insertion(FACTS, *_FACT_COLUMNS)
_ADD_JID = Insertion(JIDS, "jid", conflict=lambda _dialect, insert: insert.on_conflict_do_nothing())
_NUMBERS = Statement(lambda dialect: select(JIDS.c.jid, JIDS.c.id).where(is_listed(dialect, JIDS.c.jid, "jids")), "jids")
_HELD_FOR_TAPS = Statement(_held_for_taps, "sent", "received", "first", "last")
_HELD_FOR_ARCHIVE = Statement(_held_for_archive, "sent", "received", "first", "last", "pairs")
_BY_ARCHIVE = Statement(lambda dialect: _by_archive(dialect)[0].union_all(_by_archive(dialect)[1]), "sent", "received")
_UNREAD = Statement(_unread, "pairs", "ids")
_BOUNCED = Statement(_bounced, "s", "r", "stanza_id", "at")
_SAID_IN = Statement(lambda _dialect: select(PAIRS.c.sender).where(PAIRS.c.recipient == bindparam("room")).limit(1), "room")
_VOID = Statement(lambda _dialect: update(FACTS).where(FACTS.c.id == bindparam("ref")).values(voided=True), "ref")
_SETTLE = Statement(_settle, "new_at", "new_tapped", "new_sender_archive", "new_recipient_archive", "ref")
_RAISE_PAIR = Insertion(PAIRS, "sender", "recipient", "last_at", "new_at", "read_at", conflict=_raise_pair)
_REFRESH_PAIR = Statement(_refresh_pair, "s", "r")
_ADD_TOTAL = Insertion(SCORES, "sender", "recipient", "epoch", "total", conflict=_add_total)
