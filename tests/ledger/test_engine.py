"""The database: durable writes in order, many in a commit, each failing alone; away and back again."""

import asyncio
import logging
import re
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from rig.postgres import Postgres
from rig.wait import eventually
from sqlalchemy import Connection, create_engine, make_url, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError

from component.ledger import engine
from component.ledger.engine import Database, DatabaseClosed, DatabaseTooNew
from component.ledger.tables import SETTINGS, metadata

LIMIT = 20.0
"""Seconds that a test waits for what must come."""


def put(name: str, value: str = "") -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        connection.execute(SETTINGS.insert(), {"name": name, "value": value})

    return work


def names(connection: Connection) -> list[str]:
    return list(connection.scalars(select(SETTINGS.c.name).order_by(SETTINGS.c.name)))


async def until(condition: Callable[[], bool]) -> None:
    """Give way to others until the condition holds."""
    async with asyncio.timeout(LIMIT):
        while not condition():
            await asyncio.to_thread(lambda: None)


class Hold:
    """A work that keeps the writer busy until it is let go, so that what follows queues."""

    def __init__(self) -> None:
        self.began, self.let_go = threading.Event(), threading.Event()

    def __call__(self, _connection: Connection) -> None:
        self.began.set()
        assert self.let_go.wait(LIMIT)


@asynccontextmanager
async def held(database: Database) -> AsyncIterator[None]:
    hold = Hold()
    holding = asyncio.create_task(database.write(hold))
    await until(hold.began.is_set)
    yield
    hold.let_go.set()
    await holding


async def test_what_was_written_is_read_at_once(database: Database) -> None:
    for name in ("a", "b", "c"):
        await database.write(put(name))
        assert name in await database.read(names)


async def test_what_was_written_is_there_after_a_restart(storage_url: str) -> None:
    first = await Database.open(storage_url)
    await first.write(put("kept"))
    await first.close()
    second = await Database.open(storage_url)
    assert await second.read(names) == ["kept"]
    await second.close()


async def test_a_write_gives_the_result_of_its_work(database: Database) -> None:
    assert await database.write(lambda connection: connection.scalar(text("SELECT 40 + 2"))) == 42


async def test_neighbours_in_the_queue_are_stored_together_and_in_order(database: Database) -> None:
    groups: list[list[int]] = []

    def store(_connection: Connection, items: Sequence[int]) -> list[int]:
        groups.append(list(items))
        return [item * 2 for item in items]

    async with held(database):
        writes = [asyncio.create_task(database.write_many(store, n)) for n in range(100)]
        await asyncio.to_thread(lambda: None)
    assert await asyncio.gather(*writes) == [n * 2 for n in range(100)]
    assert groups == [list(range(100))]


async def test_one_of_many_in_a_commit_fails_alone(database: Database) -> None:
    async with held(database):
        writes = [asyncio.create_task(database.write(put(name))) for name in ("a", "b", "a", "c")]
        writes.append(asyncio.create_task(database.write(lambda connection: connection.execute(text("SELECT * FROM nowhere")))))
        writes.append(asyncio.create_task(database.write(put("d"))))
        await asyncio.to_thread(lambda: None)
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes[:4]] == [type(None), type(None), IntegrityError, type(None)]
    assert isinstance(outcomes[4], OperationalError | ProgrammingError)  # sqlite3 calls it the one, psycopg the other
    assert outcomes[5] is None
    assert await database.read(names) == ["a", "b", "c", "d"]
    assert database.healthy


async def test_a_work_that_raises_leaves_nothing_behind(database: Database) -> None:
    def work(connection: Connection) -> None:
        put("half")(connection)
        raise KeyError("half")

    with pytest.raises(KeyError):
        await database.write(work)
    assert await database.read(names) == []


async def test_those_who_remember_what_works_wrote_are_told_of_a_rollback(database: Database) -> None:
    told: list[str] = []
    database.on_rollback(lambda: told.append("undone"))
    await database.write(put("a"))
    assert told == []
    with pytest.raises(IntegrityError):
        await database.write(put("a"))
    assert told


async def test_an_error_does_not_tell_what_was_to_be_written(database: Database) -> None:
    await database.write(put("a", "a secret"))
    with pytest.raises(IntegrityError) as error:
        await database.write(put("a", "a secret"))
    assert "a secret" not in str(error.value)


async def test_at_the_bound_writers_wait_for_room(database: Database) -> None:
    async with held(database):
        writes = [asyncio.create_task(database.write(lambda _connection: None)) for _ in range(engine.WAITING + 10)]
        late = asyncio.create_task(database.write(put("late")))
        await asyncio.to_thread(lambda: None)
        assert database._queue.qsize() == engine.WAITING - 1
    await asyncio.gather(*writes, late)
    assert await database.read(names) == ["late"]


async def test_a_write_that_nobody_waits_for_any_more_is_done_all_the_same(database: Database) -> None:
    async with held(database):
        write = asyncio.create_task(database.write(put("a")))
        await asyncio.to_thread(lambda: None)
        write.cancel()
    await database.write(put("b"))
    assert await database.read(names) == ["a", "b"]


async def test_closing_finishes_what_was_written_before(storage_url: str) -> None:
    database = await Database.open(storage_url)
    async with held(database):
        writes = [asyncio.create_task(database.write(put(str(n)))) for n in range(5)]
        await asyncio.to_thread(lambda: None)
        closing = asyncio.create_task(database.close())
        await asyncio.to_thread(lambda: None)
        with pytest.raises(DatabaseClosed):
            await database.write(put("too late"))
    await asyncio.gather(*writes, closing)
    with pytest.raises(DatabaseClosed):
        await database.read(names)
    again = await Database.open(storage_url)
    assert await again.read(names) == ["0", "1", "2", "3", "4"]
    await again.close()


async def test_two_can_open_an_empty_database_at_once(storage_url: str) -> None:
    one, other = await asyncio.gather(Database.open(storage_url), Database.open(storage_url))
    await asyncio.gather(one.write(put("a")), other.write(put("b")))
    assert await one.read(names) == await other.read(names) == ["a", "b"]
    await asyncio.gather(one.close(), other.close())


async def test_the_migrations_make_the_tables_that_the_code_uses(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        ours = set(metadata.tables)
        options = {"include_name": lambda name, kind, _parents: kind != "table" or name in ours}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    assert await database.read(differences) == []


async def test_a_database_of_a_newer_version_is_refused_in_one_line(storage_url: str) -> None:
    database = await Database.open(storage_url)
    await database.write(lambda connection: connection.execute(text("INSERT INTO alembic_version VALUES ('9999')")))
    await database.close()
    with pytest.raises(DatabaseTooNew, match=r"newer Rapport: it has migration 9999.*this one knows up to \d{4}") as error:
        await Database.open(storage_url)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "url", ["", "rapport.db", "sqlite://", "sqlite:///:memory:", "mysql://localhost/rapport", "postgresql+asyncpg://h/d"]
)
async def test_an_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="storage url"):
        await Database.open(url)


async def test_a_database_that_cannot_be_reached_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await Database.open(f"sqlite:///{tmp_path}/no/such/place.db")
    with pytest.raises(ConnectionError, match=r"can't be reached: .*refused"):
        await Database.open("postgresql://postgres@127.0.0.1:1/none")


async def test_what_is_no_database_is_an_error_at_the_start_and_left_as_it_is(tmp_path: Path, sqlite_url: str) -> None:
    file = tmp_path / "rapport.db"
    file.write_text("a list of what to buy")
    file.chmod(0o644)
    with pytest.raises(FileExistsError, match="no SQLite database"):
        await Database.open(sqlite_url)
    assert (file.read_text(), modes(tmp_path)) == ("a list of what to buy", {"rapport.db": 0o644})
    file.write_bytes(b"SQLite format 3\0 and then something else")
    with pytest.raises(ConnectionError, match="can't be used: file is not a database"):
        await Database.open(sqlite_url)


async def test_sqlite_files_are_for_their_owner_only(tmp_path: Path, sqlite_url: str) -> None:
    (tmp_path / "rapport.db").touch(0o644)
    database = await Database.open(sqlite_url)
    await database.write(put("a"))
    assert modes(tmp_path) == {"rapport.db": 0o600, "rapport.db-wal": 0o600, "rapport.db-shm": 0o600}
    await database.close()


async def test_every_commit_is_on_the_disk(database: Database) -> None:
    def setting(connection: Connection) -> object:
        pragma = connection.dialect.name == "sqlite"
        return connection.scalar(text("PRAGMA synchronous" if pragma else "SHOW synchronous_commit"))

    assert await database.write(setting) in (2, "on")


def modes(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().split(" ")[0] for record in caplog.records if record.name == engine.__name__]


async def test_writes_wait_while_another_process_locks_the_file(tmp_path: Path, sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    database = await Database.open(sqlite_url)
    other = sqlite3.connect(tmp_path / "rapport.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writes = [asyncio.create_task(database.write(put(name))) for name in ("a", "b")]
    await until(lambda: not database.healthy)
    assert await database.read(names) == []
    assert not await database.answers(1)
    other.execute("ROLLBACK")
    other.close()
    await asyncio.gather(*writes)
    assert await database.answers(1)
    assert await database.read(names) == ["a", "b"]
    assert lines(caplog) == ["database.lost", "database.returned"]
    await database.close()


async def test_writes_wait_while_the_disk_is_full(sqlite_url: str) -> None:
    database = await Database.open(sqlite_url)

    def pages(connection: Connection) -> int:
        return int(connection.execute(text("PRAGMA page_count")).scalar_one())

    # The bound on a database's pages gives the very error of a full disk.
    full = await database.write(lambda connection: connection.execute(text(f"PRAGMA max_page_count = {pages(connection)}")).scalar_one())
    large = asyncio.create_task(database.write(put("large", "x" * 100_000)))
    await until(lambda: not database.healthy)
    assert await database.read(pages) == full
    assert not large.done()
    await large  # a new connection has no such bound
    assert database.healthy
    await database.close()


async def test_whoever_asks_learns_that_a_database_is_gone_though_nothing_was_asked_of_it(postgres: Postgres, postgresql_url: str) -> None:
    database = await Database.open(postgresql_url)
    assert await database.answers(1)
    await asyncio.to_thread(postgres.stop, "immediate")
    assert not await database.answers(1)
    assert not await database.answers(1)
    await asyncio.to_thread(postgres.start)
    await eventually(lambda: database.answers(1), 20)
    await database.close()
    assert not await database.answers(1)


async def test_nothing_is_lost_while_postgresql_restarts(postgres: Postgres, postgresql_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    database = await Database.open(postgresql_url)
    await database.write(put("before"))
    await database.read(names)
    await asyncio.to_thread(postgres.stop, "immediate")
    write, read = asyncio.create_task(database.write(put("meanwhile"))), asyncio.create_task(database.read(names))
    await until(lambda: not database.healthy)
    later = asyncio.create_task(database.write(put("next")))
    await asyncio.to_thread(postgres.start)
    await asyncio.gather(write, later)
    assert "before" in await read
    assert await database.read(names) == ["before", "meanwhile", "next"]
    assert database.healthy
    assert lines(caplog) == ["database.lost", "database.returned"]
    await database.close()


async def test_closing_does_not_wait_for_a_database_that_is_gone(postgres: Postgres, postgresql_url: str) -> None:
    database = await Database.open(postgresql_url)
    await asyncio.to_thread(postgres.stop, "immediate")
    try:
        write, read = asyncio.create_task(database.write(put("a"))), asyncio.create_task(database.read(names))
        await until(lambda: not database.healthy)
        await asyncio.wait_for(database.close(), LIMIT)
        for task in (write, read):
            with pytest.raises(DatabaseClosed):
                await task
    finally:
        await asyncio.to_thread(postgres.start)


class Cutting:
    """A TCP relay to PostgreSQL that cuts a connection in a COMMIT: before the server gets it, or before its answer comes back."""

    def __init__(self, port: int, answered: bool) -> None:
        self._port = port
        self._answered = answered
        self.armed = False
        self.cuts = 0

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _relay(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        cut = asyncio.Event()

        async def requests() -> None:
            while data := await client.read(65536):
                if self.armed and re.search(rb"\bCOMMIT\b", data):
                    self.armed, self.cuts = False, self.cuts + 1
                    cut.set()
                    if not self._answered:
                        break
                to_server.write(data)
            if not cut.is_set():
                to_server.close()

        async def answers() -> None:
            while data := await server.read(65536):
                if cut.is_set():  # the server has answered, so that it has committed
                    break
                to_client.write(data)
            to_client.close()

        try:
            asking = asyncio.create_task(requests())
            answering = asyncio.create_task(answers())
            await asyncio.wait({asking, answering}, return_when=asyncio.FIRST_COMPLETED)
            if cut.is_set() and self._answered:
                await answering
        finally:
            asking.cancel()
            answering.cancel()
            to_client.close()
            to_server.close()


@pytest.mark.parametrize("answered", [True, False], ids=["after the server has committed", "before the server has committed"])
async def test_a_connection_that_breaks_in_a_commit_doubles_nothing_and_loses_nothing(
    postgres: Postgres, postgresql_url: str, answered: bool
) -> None:
    relay = Cutting(postgres.port, answered)
    async with relay as port:
        database = await Database.open(make_url(postgresql_url).set(port=port).render_as_string())
        await database.write(lambda connection: connection.execute(text("CREATE TABLE once (n serial, what text)")))
        relay.armed = True

        def work(connection: Connection) -> int:
            return int(connection.execute(text("INSERT INTO once (what) VALUES ('x') RETURNING n")).scalar_one())

        n = await asyncio.wait_for(database.write(work), LIMIT)
        assert relay.cuts == 1
        assert [row.n for row in await database.read(lambda connection: connection.execute(text("SELECT n FROM once")).all())] == [n]
        await database.close()


async def test_what_is_wrong_in_itself_is_not_tried_again(postgresql_url: str) -> None:
    database = await Database.open(postgresql_url)
    # PostgreSQL reports a row that no index can hold as a lack of resources of its own, class 54.
    with pytest.raises(DBAPIError):
        await asyncio.wait_for(database.write(put("".join(chr(0x4E00 + n % 20_000) for n in range(9_000)))), LIMIT)
    await database.write(put("next"))
    assert database.healthy
    await database.close()


async def test_the_library_and_the_rig_reach_the_same_database(postgresql_url: str) -> None:
    database = await Database.open(postgresql_url)
    await database.write(put("a"))
    other = create_engine(postgresql_url.replace("postgresql://", "postgresql+psycopg://"))
    with other.connect() as connection:
        assert names(connection) == ["a"]
    other.dispose()
    await database.close()
