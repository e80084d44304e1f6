"""The ledger (spec/60-quality.md): durable events, their latency, and what answers cost when there are many facts."""

import asyncio
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import psycopg
from measure import line, median, percentile
from rig.postgres import Postgres

from component.ledger.engine import Database
from component.ledger.facts import Ledger
from component.rules.facts import Message

ROUNDS = 5
EVENTS = 20_000
WAITING = 1_000
"""Events on their way to the disk at a time."""
BATCH = 100
"""Rows of the raw driver's transactions."""
RATE, STEADY = 2_000, 10_000
"""Events a second, and how many of them, to measure the time from arrival to durable."""
USERS, CONTACTS = 1_000, 100
SMALL, LARGE = 10_000, 10_000_000
"""Facts in the ledger when it answers."""
ASKED = 300
FACT = "INSERT INTO facts (what, sender, recipient, at, stanza_id, kind, tapped, voided) VALUES (0, {0}, {0}, {0}, {0}, 0, {1}, {2})"


def events(count: int, seed: int) -> Sequence[Message]:
    """Messages of random users to one of their contacts each."""
    draw, now = random.Random(seed), time.time()  # noqa: S311 - the same each time
    found = []
    for number in range(count):
        user = draw.randrange(USERS)
        contact = (user + 1 + draw.randrange(CONTACTS)) % USERS
        identity = f"{seed}-{number}-{draw.getrandbits(40):x}"
        found.append(Message(f"u{user}@localhost", f"u{contact}@localhost", now + number * 1e-4, id=identity))
    return found


async def throughput(ledger: Ledger, raw: Callable[[Iterable[tuple[int, int, float, str]]], None], name: str) -> None:
    rates: dict[str, list[float]] = {"ledger": [], "raw": []}
    for number in range(ROUNDS):
        facts = events(EVENTS, number)
        rows = [(hash(fact.sender) % USERS, hash(fact.recipient) % USERS, fact.at, f"raw {fact.id}") for fact in facts]
        room = asyncio.Semaphore(WAITING)

        async def record(fact: Message, room: asyncio.Semaphore = room) -> None:
            await ledger.record(fact)
            room.release()

        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for fact in facts:
                await room.acquire()
                group.create_task(record(fact))
        rates["ledger"].append(EVENTS / (time.perf_counter() - started))
        started = time.perf_counter()
        await asyncio.to_thread(raw, rows)
        rates["raw"].append(EVENTS / (time.perf_counter() - started))
    mine, theirs = median(rates["ledger"]), median(rates["raw"])
    figures = f"{mine:,.0f} / {theirs:,.0f} = {mine / theirs:.2f}x"
    line(f"ledger durable events/s, {name}, against raw batches", figures, ">= 10,000/s, >= 0.7x", mine >= 10_000 and mine >= 0.7 * theirs)


async def steady(ledger: Ledger, name: str) -> None:
    """From arrival to durable, at a steady rate."""
    times: list[float] = []

    async def record(fact: Message) -> None:
        started = time.perf_counter()
        await ledger.record(fact)
        times.append(time.perf_counter() - started)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, fact in enumerate(events(STEADY, 99)):
            await asyncio.sleep(started + number / RATE - time.perf_counter())
            group.create_task(record(fact))
    p50, p99 = median(times) * 1e3, percentile(times, 0.99) * 1e3
    line(f"ledger from arrival to durable, {name}, {RATE}/s, p50", f"{p50:.2f} ms; p99 {p99:.1f} ms", "<= 1 ms", p50 <= 1)


def raw_sqlite(file: Path) -> Callable[[Iterable[tuple[int, int, float, str]]], None]:
    def insert(rows: Iterable[tuple[int, int, float, str]]) -> None:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            for batch in _batches(list(rows)):
                with connection:
                    connection.executemany(FACT.format("?", 1, 0), batch)

    return insert


def raw_postgresql(url: str) -> Callable[[Iterable[tuple[int, int, float, str]]], None]:
    def insert(rows: Iterable[tuple[int, int, float, str]]) -> None:
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            for batch in _batches(list(rows)):
                cursor.executemany(FACT.format("%s", "true", "false"), batch)
                connection.commit()

    return insert


def _batches(rows: list[tuple[int, int, float, str]]) -> Iterable[list[tuple[int, int, float, str]]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


async def answers(directory: Path) -> None:
    """What is asked on the hot path, of a ledger of so many facts of users with 100 contacts each."""
    found: dict[int, dict[str, float]] = {}
    for facts in (SMALL, LARGE):
        file = directory / f"{facts}.db"
        users = await fill(file, facts)
        database = await Database.open(f"sqlite:///{file}")
        ledger = await Ledger.open(database)
        draw = random.Random(1)  # noqa: S311 - the same users each time
        asked = [f"u{draw.randrange(users)}@localhost" for _ in range(ASKED)]
        found[facts] = {}
        for name, ask in (("pairs", ledger.pairs), ("unread", ledger.unread), ("scores", ledger.scores)):
            times = []
            for user in asked:
                started = time.perf_counter()
                await ask(user)
                times.append(time.perf_counter() - started)
            found[facts][name] = median(times)
        await database.close()
    for name, large in found[LARGE].items():
        small = found[SMALL][name]
        figures = f"{large * 1e3:.2f} ms / {small * 1e3:.2f} ms = {large / small:.2f}x"
        line(f"ledger answer: {name}, 10^7 facts against 10^4", figures, "<= 1.5x", large / small <= 1.5)


async def fill(file: Path, facts: int) -> int:
    """A ledger of so many messages, eleven for each pair, of users with CONTACTS contacts each; how many users."""
    database = await Database.open(f"sqlite:///{file}")
    users = max(CONTACTS + 1, facts // (11 * CONTACTS))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        values = {"users": users, "contacts": CONTACTS, "facts": facts, "start": time.time() - facts}
        connection.execute(
            """
            WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :users)
            INSERT INTO jids (id, jid) SELECT i, 'u' || i || '@localhost' FROM n
            """,
            values,
        )
        connection.execute(
            """
            WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :facts)
            INSERT INTO facts (what, sender, recipient, at, stanza_id, kind, tapped, voided)
            SELECT 0, i % :users, (i % :users + 1 + (i / :users) % :contacts) % :users, :start + i, 'm' || i, 0, 1, 0 FROM n
            """,
            values,
        )
        connection.commit()
    ledger = await Ledger.open(database)
    await ledger.rebuild()
    await database.close()
    return users


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="rapport-bench-") as name, Postgres() as cluster:
        directory = Path(name)
        url = cluster.database()
        stores = {
            "SQLite": (f"sqlite:///{directory}/events.db", raw_sqlite(directory / "events.db")),
            "PostgreSQL": (url, raw_postgresql(url)),
        }
        for kind, (storage, raw) in stores.items():
            database = await Database.open(storage)
            ledger = await Ledger.open(database)
            await throughput(ledger, raw, kind)
            await steady(ledger, kind)
            await database.close()
        await answers(directory)


if __name__ == "__main__":
    asyncio.run(main())
