"""What stands in Rapport's database, read past it."""

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

import psycopg
from psycopg import sql


def mentions(url: str, *texts: str) -> dict[str, int]:
    """How many rows of each table hold one of these texts, in any column; `url` as in the configuration."""
    found: dict[str, int] = {}
    for table, rows in _sqlite(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else _postgresql(url):
        number = sum(any(_holds(value, text) for value in row for text in texts) for row in rows)
        if number:
            found[table] = number
    return found


def _holds(value: object, text: str) -> bool:
    return text in value if isinstance(value, str) else isinstance(value, bytes) and text.encode() in value


Tables = list[tuple[str, list[tuple[Any, ...]]]]


def _sqlite(file: str) -> Tables:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return _read(names, lambda name: connection.execute(f'SELECT * FROM "{name}"'))


def _postgresql(url: str) -> Tables:
    with psycopg.connect(url) as connection:
        names = [name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        return _read(names, lambda name: connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name))))


def _read(names: Iterable[str], select: Callable[[str], Iterable[tuple[Any, ...]]]) -> Tables:
    return [(name, list(select(name))) for name in names]
