"""What S3 remembers (tables `virtual_…`).

What a person changes is written at once and awaited. What passes in conversations is noted, and written in batches, in the order of
the notes: never a query per message, and nothing awaited but the record of a new choice (`flushed`).
"""

import asyncio
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Double,
    Executable,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)

from component.ledger.engine import Database
from component.ledger.erase import JSON, Part, by_columns, is_of, rows_where
from component.ledger.tables import QUEUE, upsert
from component.rules import hours
from component.rules.distance import Place
from component.rules.presence import Show
from component.virtual.ids import KEY_LENGTH
from component.virtual.model import LINES, Line, Paused, Profile, Record, VirtualUser, WhenOffline
from stanzas.jid import bare

metadata = MetaData()
USERS = Table(
    "virtual_users",
    metadata,
    Column("node", Text, primary_key=True),
    Column("settings", Text, nullable=False, info=JSON),
    Column("seed", Text, comment="what the configuration said when it was last taken over; null: added live"),
    Column("shown", Text, nullable=False, comment="what subscribers saw last"),
)
MEMBERS = Table(
    "virtual_members",
    metadata,
    Column("node", Text, primary_key=True),
    Column("jid", Text, primary_key=True),
    Column("profile", Text, nullable=False, info=JSON),
    Column("paused", Text, nullable=False),
)
CONVERSATIONS = Table(
    "virtual_conversations",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("node", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("member", Text),
    Column("opened_at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
    Column("told", Boolean, nullable=False),
)
RECORDS = Table(
    "virtual_records",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("node", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("member", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("last_at", Double, nullable=False, comment="the last message that went there"),
    Column("considered", Text, nullable=False, info=JSON),
)
Index("virtual_records_of", RECORDS.c.node, RECORDS.c.customer, RECORDS.c.id)
Index("virtual_records_last", RECORDS.c.last_at)
LINE = Table(
    "virtual_lines",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False, comment="the queue's"),
    Column("conversation", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
    Column("author", Text, nullable=False),
    Column("text", Text, nullable=False),
)
Index("virtual_lines_of", LINE.c.conversation, LINE.c.id)
SENT = Table(
    "virtual_sent",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False, comment="the queue's"),
    Column("member", Text, nullable=False),
    Column("tries", Integer, nullable=False),
)
SUBSCRIBERS = Table(
    "virtual_subscribers",
    metadata,
    Column("node", Text, primary_key=True),
    Column("jid", Text, primary_key=True),
)
WATCHED = Table(
    "virtual_watched",
    metadata,
    Column("node", Text, primary_key=True),
    Column("jid", Text, primary_key=True),
    Column("granted", Boolean, nullable=False),
)
CUSTOMERS = Table(
    "virtual_customers",
    metadata,
    Column("jid", Text, primary_key=True),
    Column("profile", Text, nullable=False, info=JSON),
)
KEYS = Table(
    "virtual_keys",
    metadata,
    Column("name", Text, primary_key=True),
    Column("key", LargeBinary, nullable=False),
)

RECORDS_KEPT = 90 * 86_400.0
"""Seconds after which a record is forgotten."""
NOTES = 0.05
"""Seconds for which notes are gathered into one write: a message that comes meanwhile need not wait for theirs."""
_IDS = "message ids"


def _lines_of(user: str) -> ColumnElement[bool]:
    """What they wrote, and what was written in their conversations as a customer."""
    theirs = select(CONVERSATIONS.c.id).where(CONVERSATIONS.c.customer == user)
    return or_(LINE.c.conversation.in_(theirs), is_of(LINE.c.author, user))


def _records_of(user: str) -> ColumnElement[bool]:
    name = json.dumps(user, ensure_ascii=False)[:-1]
    considered = (RECORDS.c.considered.contains(f"{name}{end}", autoescape=True) for end in ('"', "/"))
    return or_(RECORDS.c.customer == user, is_of(RECORDS.c.member, user), *considered)


def _erase_member(connection: Connection, user: str) -> None:
    """Whom the configuration names stays a sub-user."""
    added_live = MEMBERS.c.node.in_(select(USERS.c.node).where(USERS.c.seed.is_(None)))
    connection.execute(delete(MEMBERS).where(is_of(MEMBERS.c.jid, user), added_live))
    connection.execute(update(MEMBERS).where(is_of(MEMBERS.c.jid, user)).values(paused=Paused.NO.value))


def _erase_conversations(connection: Connection, user: str) -> None:
    """A sub-user's conversations are their customers' too."""
    connection.execute(delete(CONVERSATIONS).where(CONVERSATIONS.c.customer == user))
    connection.execute(update(CONVERSATIONS).where(is_of(CONVERSATIONS.c.member, user)).values(member=None))


def _erase_records(connection: Connection, user: str) -> None:
    connection.execute(delete(RECORDS).where(or_(RECORDS.c.customer == user, is_of(RECORDS.c.member, user))))
    for row in connection.execute(select(RECORDS.c.id, RECORDS.c.considered).where(_records_of(user))).all():
        others = {jid: reason for jid, reason in json.loads(row.considered).items() if bare(jid) != user}
        connection.execute(update(RECORDS).where(RECORDS.c.id == row.id).values(considered=json.dumps(others, ensure_ascii=False)))


def _erase_sent(connection: Connection, user: str) -> None:
    """It goes to somebody else, as what came back does: under another `once`."""
    connection.execute(update(SENT).where(is_of(SENT.c.member, user)).values(member="", tries=SENT.c.tries + 1))


PARTS: Sequence[Part] = (
    Part(
        LINE.name,
        lambda connection, user: rows_where(connection, LINE, _lines_of(user)),
        lambda connection, user: _execute(connection, delete(LINE).where(_lines_of(user))),
    ),
    replace(by_columns(MEMBERS, MEMBERS.c.jid, resources=True), erase=_erase_member),
    replace(by_columns(CONVERSATIONS, CONVERSATIONS.c.customer, CONVERSATIONS.c.member, resources=True), erase=_erase_conversations),
    replace(
        by_columns(RECORDS, RECORDS.c.customer, RECORDS.c.member, resources=True),
        rows=lambda connection, user: rows_where(connection, RECORDS, _records_of(user)),
        erase=_erase_records,
    ),
    replace(by_columns(SENT, SENT.c.member, resources=True), erase=_erase_sent),
    by_columns(SUBSCRIBERS, SUBSCRIBERS.c.jid),
    by_columns(WATCHED, WATCHED.c.jid),
    by_columns(CUSTOMERS, CUSTOMERS.c.jid),
)
"""For export and erase (ledger/erase.py); lines before the conversations that they are found by."""


@dataclass(frozen=True, slots=True)
class SavedUser:
    settings: VirtualUser
    seed: str | None
    shown: Show
    members: Mapping[str, tuple[Profile, Paused]]


@dataclass(frozen=True, slots=True)
class SavedConversation:
    """A conversation that is open, or waits for somebody (`member` is None, or one who is no sub-user any more)."""

    id: int
    node: str
    customer: str
    member: str | None
    opened_at: float
    last_at: float
    told: bool


@dataclass(frozen=True, slots=True)
class Known:
    """All records of a customer with one member, as one: the newest's id, and when the last message went there."""

    node: str
    customer: str
    member: str
    id: int
    last_at: float


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that the server has taken, but that may come back: to whom it went, and after how many failures."""

    member: str
    tries: int


@dataclass(frozen=True, slots=True)
class Saved:
    """Everything that is held in memory while Rapport runs."""

    users: Mapping[str, SavedUser]
    conversations: Sequence[SavedConversation]
    records: Sequence[Known]
    sent: Mapping[int, Sent]
    subscribers: Sequence[tuple[str, str]]
    watched: Sequence[tuple[str, str, bool]]
    customers: Mapping[str, Profile]
    key: bytes


@dataclass(slots=True)
class _Batch:
    """Notes, to be written together."""

    conversations: dict[int, SavedConversation | None] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    touched: dict[int, float] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    sent: dict[int, Sent | None] = field(default_factory=dict)

    def write(self, connection: Connection) -> None:
        ended = [number for number, conversation in self.conversations.items() if conversation is None]
        if ended:
            connection.execute(delete(CONVERSATIONS).where(CONVERSATIONS.c.id.in_(ended)))
        if kept := [_row(conversation) for conversation in self.conversations.values() if conversation is not None]:
            insert = upsert(connection.dialect.name, CONVERSATIONS)
            columns = {name: insert.excluded[name] for name in ("member", "opened_at", "last_at", "told")}
            connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=columns), kept)
        _put_all(connection, upsert(connection.dialect.name, RECORDS).on_conflict_do_nothing(), map(_record_row, self.records))
        last = update(RECORDS).where(RECORDS.c.id == bindparam("record")).values(last_at=bindparam("last"))
        _put_all(connection, last, ({"record": record, "last": at} for record, at in self.touched.items()))
        _put_all(connection, upsert(connection.dialect.name, LINE).on_conflict_do_nothing(), map(_row, self.lines))
        _put_all(connection, _OLD_LINES, ({"of": number} for number in {line.conversation for line in self.lines}))
        if ended:
            connection.execute(delete(LINE).where(LINE.c.conversation.in_(ended)))
        if gone := [number for number, sent in self.sent.items() if sent is None]:
            connection.execute(delete(SENT).where(SENT.c.id.in_(gone)))
        if sent_rows := [{"id": number, **_row(sent)} for number, sent in self.sent.items() if sent is not None]:
            insert = upsert(connection.dialect.name, SENT)
            columns = {name: insert.excluded[name] for name in ("member", "tries")}
            connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=columns), sent_rows)


_NEWER = LINE.alias("newer")
_OLD_LINES = delete(LINE).where(
    LINE.c.conversation == bindparam("of"),
    LINE.c.id
    <= select(_NEWER.c.id)
    .where(_NEWER.c.conversation == bindparam("of"))
    .order_by(_NEWER.c.id.desc())
    .limit(1)
    .offset(LINES)
    .scalar_subquery(),
)


class Store:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._batch: _Batch | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writing: set[asyncio.Task[None]] = set()
        self._last: asyncio.Task[None] | None = None

    async def load(self, now: float) -> Saved:
        """Everything; records that are too old are forgotten first."""

        def prepare(connection: Connection) -> None:
            connection.execute(delete(RECORDS).where(RECORDS.c.last_at < now - RECORDS_KEPT))
            connection.execute(delete(SENT).where(SENT.c.id.not_in(select(QUEUE.c.id))))
            fresh = {"name": _IDS, "key": secrets.token_bytes(KEY_LENGTH)}
            connection.execute(upsert(connection.dialect.name, KEYS).on_conflict_do_nothing(), [fresh])

        await self._database.write(prepare)
        return await self._database.read(_load)

    # --- what a person changes ---

    async def save_user(self, user: VirtualUser, members: Iterable[tuple[Profile, Paused]], seed: str | None) -> None:
        """Save a virtual user and all of its team."""

        def work(connection: Connection) -> None:
            insert = upsert(connection.dialect.name, USERS).values(
                node=user.node, settings=_settings(user), seed=seed, shown=Show.OFFLINE.value
            )
            changed = {"settings": insert.excluded.settings, "seed": insert.excluded.seed}
            connection.execute(insert.on_conflict_do_update(index_elements=["node"], set_=changed))
            connection.execute(delete(MEMBERS).where(MEMBERS.c.node == user.node))
            rows = [{"node": user.node, "jid": one.jid, "profile": _profile(one), "paused": paused.value} for one, paused in members]
            _put_all(connection, MEMBERS.insert(), rows)

        await self._database.write(work)

    async def remove_user(self, node: str) -> None:
        """Forget a virtual user, and all that was remembered with it."""

        def work(connection: Connection) -> None:
            mine = select(CONVERSATIONS.c.id).where(CONVERSATIONS.c.node == node)
            connection.execute(delete(LINE).where(LINE.c.conversation.in_(mine)))
            for table in (USERS, MEMBERS, CONVERSATIONS, RECORDS, SUBSCRIBERS, WATCHED):
                connection.execute(delete(table).where(table.c.node == node))

        await self.flushed()
        await self._database.write(work)

    async def save_paused(self, node: str, member: str, paused: Paused) -> None:
        statement = update(MEMBERS).where(MEMBERS.c.node == node, MEMBERS.c.jid == member).values(paused=paused.value)
        await self._database.write(lambda connection: _execute(connection, statement))

    async def save_customer(self, customer: Profile | None, jid: str) -> None:
        """Save what an admin says of a customer; None: nothing any more."""

        def work(connection: Connection) -> None:
            connection.execute(delete(CUSTOMERS).where(CUSTOMERS.c.jid == jid))
            if customer is not None:
                connection.execute(CUSTOMERS.insert(), {"jid": jid, "profile": _profile(customer)})

        await self._database.write(work)

    async def subscribe(self, node: str, jid: str) -> None:
        """Somebody (bare JID) sees the virtual user's presence from now on."""
        row = {"node": node, "jid": jid}
        await self._database.write(
            lambda connection: _put_all(connection, upsert(connection.dialect.name, SUBSCRIBERS).on_conflict_do_nothing(), [row])
        )

    async def unsubscribe(self, node: str, jid: str) -> None:
        statement = delete(SUBSCRIBERS).where(SUBSCRIBERS.c.node == node, SUBSCRIBERS.c.jid == jid)
        await self._database.write(lambda connection: _execute(connection, statement))

    async def watch(self, node: str, jid: str, granted: bool | None) -> None:
        """Whether a sub-user lets the virtual user see their presence; None: it is not wanted any more."""

        def work(connection: Connection) -> None:
            connection.execute(delete(WATCHED).where(WATCHED.c.node == node, WATCHED.c.jid == jid))
            if granted is not None:
                connection.execute(WATCHED.insert(), {"node": node, "jid": jid, "granted": granted})

        await self._database.write(work)

    async def show(self, node: str, shown: Show) -> None:
        statement = update(USERS).where(USERS.c.node == node).values(shown=shown.value)
        await self._database.write(lambda connection: _execute(connection, statement))

    # --- what passes in conversations ---

    def keep(self, conversation: SavedConversation) -> None:
        self._notes().conversations[conversation.id] = conversation

    def forget(self, conversation: int) -> None:
        """Forget a conversation and its lines; its records stay."""
        self._notes().conversations[conversation] = None

    def record(self, record: Record) -> None:
        self._notes().records.append(record)

    def touch(self, record: int, last_at: float) -> None:
        """A message went where this record says."""
        self._notes().touched[record] = last_at

    def line(self, line: Line) -> None:
        """Keep a line; the oldest of the conversation's more than `LINES` goes."""
        self._notes().lines.append(line)

    def sent(self, queued: int, sent: Sent | None) -> None:
        """A message of the queue was sent, and may come back; None: it can't any more."""
        self._notes().sent[queued] = sent

    def hurry(self) -> None:
        """Hand the notes to the database now: what is written there after this call becomes durable after them."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._batch is not None:
            batch, self._batch = self._batch, None
            self._last = asyncio.create_task(self._database.write(batch.write))
            self._writing.add(self._last)
            self._last.add_done_callback(self._writing.discard)

    async def flushed(self) -> None:
        """Wait until everything noted so far is durable."""
        self.hurry()
        if self._last is not None:
            await asyncio.shield(self._last)

    def _notes(self) -> _Batch:
        if self._batch is None:
            self._batch = _Batch()
            self._timer = asyncio.get_running_loop().call_later(NOTES, self.hurry)
        return self._batch

    # --- questions ---

    async def lines(self, conversation: int) -> Sequence[Line]:
        """The lines of an open conversation, oldest first."""
        await self.flushed()
        query = select(LINE).where(LINE.c.conversation == conversation).order_by(LINE.c.id)
        return await self._database.read(lambda connection: [Line(*row) for row in connection.execute(query)])

    async def latest(self, node: str, customer: str) -> Record | None:
        """The newest record of a customer with a virtual user."""
        await self.flushed()
        query = select(RECORDS).where(RECORDS.c.node == node, RECORDS.c.customer == customer).order_by(RECORDS.c.id.desc()).limit(1)

        def work(connection: Connection) -> Record | None:
            row = connection.execute(query).first()
            return None if row is None else Record(row.id, node, customer, row.member, row.policy, row.at, json.loads(row.considered))

        return await self._database.read(work)


def _load(connection: Connection) -> Saved:
    members: dict[str, dict[str, tuple[Profile, Paused]]] = {}
    for row in connection.execute(select(MEMBERS).order_by(MEMBERS.c.jid)):
        members.setdefault(row.node, {})[row.jid] = (_read_profile(row.jid, row.profile), Paused(row.paused))
    users = {
        row.node: SavedUser(_read_settings(row.node, row.settings), row.seed, Show(row.shown), members.get(row.node, {}))
        for row in connection.execute(select(USERS))
    }
    of = (RECORDS.c.node, RECORDS.c.customer, RECORDS.c.member)
    return Saved(
        users,
        [SavedConversation(*row) for row in connection.execute(select(CONVERSATIONS).order_by(CONVERSATIONS.c.last_at))],
        [Known(*row) for row in connection.execute(select(*of, func.max(RECORDS.c.id), func.max(RECORDS.c.last_at)).group_by(*of))],
        {row.id: Sent(row.member, row.tries) for row in connection.execute(select(SENT))},
        [(row.node, row.jid) for row in connection.execute(select(SUBSCRIBERS))],
        [(row.node, row.jid, row.granted) for row in connection.execute(select(WATCHED))],
        {row.jid: _read_profile(row.jid, row.profile) for row in connection.execute(select(CUSTOMERS))},
        connection.execute(select(KEYS.c.key).where(KEYS.c.name == _IDS)).scalar_one(),
    )


def _put_all(connection: Connection, statement: Executable, rows: Iterable[Mapping[str, Any]]) -> None:
    """Execute for all rows, if there are any."""
    if parameters := list(rows):
        connection.execute(statement, parameters)


def _execute(connection: Connection, statement: Any) -> None:
    connection.execute(statement)


def _row(value: SavedConversation | Line | Sent) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def _record_row(record: Record) -> dict[str, Any]:
    considered = json.dumps(dict(record.considered), ensure_ascii=False)
    return {**{name: getattr(record, name) for name in record.__slots__}, "last_at": record.at, "considered": considered}


def _settings(user: VirtualUser) -> str:
    return json.dumps(
        {
            "name": user.name,
            "policy": user.policy,
            "when_offline": user.when_offline.value,
            "history_expiry": user.history_expiry,
            "absence_grace": user.absence_grace,
            "answer_within": user.answer_within,
            "auto_pause": user.auto_pause,
            "available_shows": [show.value for show in user.available_shows],
        },
        ensure_ascii=False,
    )


def _read_settings(node: str, text: str) -> VirtualUser:
    saved: dict[str, Any] = json.loads(text)
    return VirtualUser(
        node,
        saved["name"],
        tuple(saved["policy"]),
        WhenOffline(saved["when_offline"]),
        saved["history_expiry"],
        saved["absence_grace"],
        saved["answer_within"],
        saved["auto_pause"],
        tuple(Show(show) for show in saved["available_shows"]),
    )


def _profile(profile: Profile) -> str:
    place = [profile.place.lat, profile.place.lon] if profile.place else None
    spans = hours.written(profile.hours) if profile.hours else None
    return json.dumps(
        {"capacity": profile.capacity, "place": place, "hours": spans, "attributes": dict(profile.attributes)}, ensure_ascii=False
    )


def _read_profile(jid: str, text: str) -> Profile:
    saved: dict[str, Any] = json.loads(text)
    place = Place(*saved["place"]) if saved["place"] else None
    return Profile(jid, saved["capacity"], place, hours.parse(saved["hours"]) if saved["hours"] else None, saved["attributes"])
