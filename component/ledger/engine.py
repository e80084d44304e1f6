"""The database behind the ledger and every store: one writer thread with natural group commit, readers beside it.

SQLAlchemy Core, sync, in threads: async costs 7 to 15 times as much per event, and a commit that takes all that queued while the last
one ran needs no timer to be both quick and cheap.
"""

import asyncio
import errno
import itertools
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError

from component.ledger.migrate import DatabaseTooNew, migrate

__all__ = ["Database", "DatabaseClosed", "DatabaseTooNew"]

log = logging.getLogger(__name__)

WAITING = 50_000
"""Writes that may wait for the database; at this bound `write` makes its callers wait, so that they take nothing more from theirs."""
COMMIT = 2_000
"""Most writes in one commit."""
READERS = 4
READING = 1_000
"""Reads that may wait for a reader; at this bound `read` makes its callers wait."""
WRITE_CACHE, READ_CACHE = 32_768, 4_096
"""KiB of pages that SQLite keeps for the writer, and for each reader: those have the system's cache beside it."""
BUSY = 1.0
"""Seconds for which SQLite waits for another process's lock before we call the database gone."""
_SQLITE = b"SQLite format 3\0"
RETRY_FIRST, RETRY_MOST = 0.05, 5.0
"""Seconds between tries while the database is gone: doubled from the first to the most."""

T = TypeVar("T")
Item = TypeVar("Item")
Work = Callable[[Connection], T]
"""What to do in a transaction. It may be run again after a rollback, so it touches nothing but its connection."""
Store = Callable[[Connection, Sequence[Item]], Sequence[T]]
"""As `Work`, for many items at once: a result for each, in order."""


class DatabaseClosed(Exception):
    """The database was closed before this was done; it was not."""


@dataclass(slots=True)
class _Write:
    store: Store[Any, Any]
    item: Any
    done: asyncio.Future[Any]


class _Outcome(NamedTuple):
    result: Any = None
    error: Exception | None = None


class _InDoubt(Exception):
    """The connection broke while PostgreSQL committed the transaction `xid`: it may or may not have."""

    def __init__(self, xid: str, outcomes: list[_Outcome], reason: DBAPIError) -> None:
        super().__init__(xid)
        self.xid = xid
        self.outcomes = outcomes
        self.reason = reason


class Database:
    """SQLite or PostgreSQL. Made by `open`; used from the event loop that opened it."""

    def __init__(self, url: URL) -> None:
        self._loop = asyncio.get_running_loop()
        self._url = url
        self._write_engine = _engine(url, "BEGIN IMMEDIATE", WRITE_CACHE, poolclass=NullPool)
        self._read_engine = _engine(url, "BEGIN", READ_CACHE, pool_size=READERS, max_overflow=0)
        self._connection: Connection | None = None
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(WAITING)
        self._unresolved = 0
        self._reading = asyncio.Semaphore(READING)
        self._readers = ThreadPoolExecutor(READERS, "ledger-read")
        self._writer = threading.Thread(target=self._write_until_closed, name="ledger-write", daemon=True)
        self._closing = threading.Event()
        self._gone_for: set[str] = set()
        self._gone_lock = threading.Lock()
        self._on_rollback: list[Callable[[], None]] = []

    @classmethod
    async def open(cls, url: str) -> "Database":
        """Connect, and bring the schema up to date. `url`: `sqlite:///FILE` or `postgresql://…`. A SQLite file gets mode 0600.

        Raises:
            ValueError: the URL is not one of these.
            DatabaseTooNew: a newer Rapport has written there.
            OSError: it can't be reached or used; the text says how in one line.
        """
        database = cls(_parse(url))
        try:
            await asyncio.to_thread(database._prepare)
        except BaseException:
            database._dispose()
            raise
        database._writer.start()
        return database

    def _prepare(self) -> None:
        if self._url.get_backend_name() == "sqlite":
            _make_private(Path(str(self._url.database)))
        try:
            with self._write_engine.connect() as connection:
                migrate(connection)
        except DBAPIError as error:
            raise ConnectionError(f"the database can't be {'reached' if _is_gone(error) else 'used'}: {_reason(error)}") from error

    @property
    def healthy(self) -> bool:
        """Whether the last write and the last read reached the database."""
        return not self._gone_for

    async def answers(self, within: float) -> bool:
        """Whether the database can be written and read now: asks it, for `within` seconds at the most."""
        try:
            async with asyncio.timeout(within):
                if "write" not in self._gone_for:  # else a write waits for it already
                    await self.write(_ask)
                await self.read(_ask)
        except (TimeoutError, DatabaseClosed):
            return False
        return self.healthy

    def on_rollback(self, forget: Callable[[], None]) -> None:
        """Have `forget` called, in the writer's thread, whenever what works wrote is undone: for what they remember of it."""
        self._on_rollback.append(forget)

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction; return its result once that is durable.

        Writes are done in the order of the calls, many in one commit. While the database is gone they wait and are tried again.
        What `work` raises, an IntegrityError say, undoes this work alone and is raised here.

        Raises:
            DatabaseClosed: `close` came first.
        """
        return await self.write_many(_run_works, work)

    async def write_many(self, store: Store[Item, T], item: Item) -> T:
        """As `write`, but neighbours in the queue with the same `store` are given to it together, to be done in few statements."""
        await self._room.acquire()
        if self._closing.is_set():
            self._room.release()
            raise DatabaseClosed
        done: asyncio.Future[T] = self._loop.create_future()
        self._unresolved += 1
        self._queue.put(_Write(store, item, done))
        return await done

    async def settled(self) -> None:
        """Wait until every write so far is durable (or has failed): a `read` after it sees them all. Raises DatabaseClosed."""
        if self._unresolved:
            await self.write(lambda _connection: None)

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a connection of its own, where it sees all writes that are resolved. While the database is gone it is tried again.

        Raises:
            DatabaseClosed: `close` came first.
        """
        async with self._reading:
            for wait in _backoff():
                if self._closing.is_set():
                    raise DatabaseClosed
                try:
                    result = await self._loop.run_in_executor(self._readers, self._run, work)
                except DBAPIError as error:
                    if not _is_gone(error):
                        raise
                    self._lost("read", error)
                    await asyncio.sleep(wait)
                else:
                    self._returned("read")
                    return result
        raise DatabaseClosed

    def _run(self, work: Work[T]) -> T:
        with self._read_engine.connect() as connection:
            return work(connection)

    async def close(self) -> None:
        """Finish what was written before, and disconnect; if the database is gone, what waits raises DatabaseClosed instead."""
        self._closing.set()
        self._queue.put(None)
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._dispose)

    def _dispose(self) -> None:
        self._readers.shutdown()
        self._disconnect()
        self._write_engine.dispose()
        self._read_engine.dispose()

    # --- the writer's thread ---

    def _write_until_closed(self) -> None:
        while True:
            writes, last = self._take()
            outcomes = self._durable(writes)
            self._loop.call_soon_threadsafe(self._resolve, writes, outcomes)
            if last:
                return

    def _take(self) -> tuple[list[_Write], bool]:
        """What queued while the last commit ran, and whether it is the last."""
        writes: list[_Write] = []
        found = self._queue.get()
        while found is not None:
            writes.append(found)
            if len(writes) == COMMIT:
                return writes, False
            try:
                found = self._queue.get_nowait()
            except queue.Empty:
                return writes, False
        return writes, True

    def _durable(self, writes: list[_Write]) -> list[_Outcome]:
        doubt: _InDoubt | None = None
        for wait in _backoff():
            try:
                outcomes = self._settle(doubt) if doubt else None
                doubt = None
                if outcomes is None:
                    outcomes = self._commit(writes)
            except _InDoubt as error:
                doubt = error
                self._lost("write", error.reason)
            except DBAPIError as error:
                if not _is_gone(error):  # a constraint that is checked at the commit
                    self._rolled_back()
                    return [_Outcome(error=error) for _ in writes]
                self._lost("write", error)
            else:
                self._returned("write")
                return outcomes
            self._disconnect()
            self._rolled_back()
            if self._closing.wait(wait):
                break
        return [_Outcome(error=DatabaseClosed()) for _ in writes]

    def _commit(self, writes: list[_Write]) -> list[_Outcome]:
        if not writes:
            return []
        connection = self._connected()
        transaction = connection.begin()
        try:
            groups = itertools.groupby(writes, lambda write: write.store)
            outcomes = [outcome for store, group in groups for outcome in _together(connection, store, group)]
        except Exception as error:
            if isinstance(error, DBAPIError) and _is_gone(error):
                raise
            transaction.rollback()
            self._rolled_back()
            transaction = connection.begin()
            outcomes = [self._alone(connection, write) for write in writes]
        xid = _transaction_id(connection)
        try:
            transaction.commit()
        except DBAPIError as error:
            if xid is not None and _is_gone(error):
                raise _InDoubt(xid, outcomes, error) from error
            raise
        return outcomes

    def _alone(self, connection: Connection, write: _Write) -> _Outcome:
        """One of those that don't all work: it fails alone."""
        try:
            with connection.begin_nested():
                return _Outcome(write.store(connection, [write.item])[0])
        except Exception as error:
            if isinstance(error, DBAPIError) and _is_gone(error):
                raise
            self._rolled_back()
            return _Outcome(error=error)

    def _settle(self, doubt: _InDoubt) -> list[_Outcome] | None:
        """The outcomes of a transaction that did commit before the connection broke; None: it did not."""
        with self._connected().begin() as transaction:
            status = transaction.connection.scalar(text("SELECT pg_xact_status(CAST(:xid AS xid8))"), {"xid": doubt.xid})
        if status == "in progress":
            raise doubt
        return doubt.outcomes if status == "committed" else None

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._write_engine.connect()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.invalidate()
            connection.close()

    def _rolled_back(self) -> None:
        for forget in self._on_rollback:
            forget()

    # --- both ---

    def _resolve(self, writes: list[_Write], outcomes: list[_Outcome]) -> None:
        self._unresolved -= len(writes)
        for write, outcome in zip(writes, outcomes, strict=True):
            self._room.release()
            if write.done.done():  # whoever waited has been cancelled
                continue
            if outcome.error is None:
                write.done.set_result(outcome.result)
            else:
                write.done.set_exception(outcome.error)

    def _lost(self, side: str, error: DBAPIError) -> None:
        with self._gone_lock:
            if not self._gone_for:
                log.error("database.lost error=%s", _reason(error))
            self._gone_for.add(side)

    def _returned(self, side: str) -> None:
        if side in self._gone_for:
            with self._gone_lock:
                self._gone_for.discard(side)
                if not self._gone_for:
                    log.info("database.returned")


def _ask(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))


def _together(connection: Connection, store: Store[Any, Any], group: Iterable[_Write]) -> list[_Outcome]:
    items = [write.item for write in group]
    results = store(connection, items)
    if len(results) != len(items):
        raise ValueError(f"{len(results)} results for {len(items)} items")
    return [_Outcome(result) for result in results]


def _run_works(connection: Connection, works: Sequence[Work[Any]]) -> list[Any]:
    return [work(connection) for work in works]


def _backoff() -> "itertools.chain[float]":
    """The seconds to wait after each failed try, without end."""
    doublings = int(RETRY_MOST / RETRY_FIRST).bit_length()
    return itertools.chain((min(RETRY_FIRST * 2**n, RETRY_MOST) for n in range(doublings)), itertools.repeat(RETRY_MOST))


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError("storage url: neither sqlite:///FILE nor postgresql://…") from error
    if parsed.drivername in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed
    raise ValueError(f"storage url: {parsed.drivername} is neither sqlite:///FILE nor postgresql://…")


def _make_private(file: Path) -> None:
    """The WAL beside the file gets the same mode from SQLite. Raises OSError, also where another kind of file is: it stays as it is."""
    with os.fdopen(os.open(file, os.O_CREAT | os.O_RDWR, 0o600), "rb") as opened:
        if opened.read(len(_SQLITE)) not in (b"", _SQLITE):
            raise FileExistsError(errno.EEXIST, "a file that is no SQLite database is in the way", str(file))
    file.chmod(0o600)


def _engine(url: URL, begin: str, cache: int, **pool: Any) -> Engine:
    """`begin` and `cache` (KiB) are for SQLite."""
    # Parameters are JIDs and queued stanzas: they stay out of error texts.
    if url.get_backend_name() == "postgresql":
        return create_engine(
            url,
            hide_parameters=True,
            connect_args={
                "connect_timeout": 5,
                "options": "-c synchronous_commit=on -c timezone=UTC",
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 20_000,
            },
            **pool,
        )
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY, "check_same_thread": False}, **pool)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # sqlite3 would begin transactions where it sees fit
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", f"cache_size = -{cache}"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _transaction_id(connection: Connection) -> str | None:
    """What to ask PostgreSQL about the transaction if its commit is never answered; SQLite's commit is answered always."""
    if connection.dialect.name == "sqlite":
        return None
    xid: str | None = connection.scalar(text("SELECT CAST(pg_current_xact_id_if_assigned() AS text)"))
    return xid


_SQLITE_GONE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_POSTGRESQL_GONE = ("08", "25006", "40", "53", "55", "57", "58")
"""Connection, a standby after fail-over, rollback by the server, resources, locks, operator, system (PostgreSQL 15, appendix A)."""


def _reason(error: DBAPIError) -> str:
    """The driver's own words in one line: they name neither SQL nor values."""
    return " ".join(str(error.orig).split())


def _is_gone(error: DBAPIError) -> bool:
    """Whether the database could not do it now, whatever was asked; else what was asked is wrong in itself."""
    match error.orig:
        case sqlite3.Error() as cause:
            code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
            return (code & 0xFF) in _SQLITE_GONE
        case psycopg.Error() as cause:
            if cause.sqlstate is None:
                return error.connection_invalidated or isinstance(cause, psycopg.OperationalError)
            return cause.sqlstate.startswith(_POSTGRESQL_GONE)
        case _:
            return error.connection_invalidated
