"""Statements of the hot path, compiled once for each kind of database."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ClauseElement, Connection, CursorResult, Dialect, Table, bindparam, cast, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.compiler import SQLCompiler

from component.ledger.tables import upsert

Values = tuple[Any, ...]
"""What a driver takes as it is: int, float, str, bytes, bool or None, in the order of the statement's parameters."""


_Arrange = Callable[[Values], Values]


class Statement:
    """A Core statement that goes to the driver as it was compiled the first time.

    SQLAlchemy's usual way costs several times what a small statement does, and as much per row as a row's insertion.

    Args:
        build: makes the statement for a dialect, by its name.
        parameters: the names of its bound parameters (for an INSERT, of its columns), in the order in which `Values` have them.
    """

    def __init__(self, build: Callable[[str], ClauseElement], *parameters: str) -> None:
        self._build = build
        self._parameters = parameters
        self._compiled: dict[str, tuple[str, _Arrange | None]] = {}

    def one(self, connection: Connection, *values: Any) -> CursorResult[Any]:
        """Execute it once."""
        sql, arrange = self._for(connection.dialect)
        return connection.exec_driver_sql(sql, arrange(values) if arrange else values)

    def many(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Execute it for each of the rows, if there are any."""
        if rows:
            sql, arrange = self._for(connection.dialect)
            connection.exec_driver_sql(sql, [arrange(row) for row in rows] if arrange else list(rows))

    def _for(self, dialect: Dialect) -> tuple[str, _Arrange | None]:
        if dialect.name not in self._compiled:
            self._compiled[dialect.name] = self._compile(dialect)
        return self._compiled[dialect.name]

    def _compile(self, dialect: Dialect) -> tuple[str, _Arrange | None]:
        positional = dialect
        if dialect.name == "postgresql":
            positional = postgresql.psycopg.dialect(paramstyle="format")  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it bare
        compiled = self._build(dialect.name).compile(dialect=positional, column_keys=list(self._parameters))
        assert isinstance(compiled, SQLCompiler)
        names = list(compiled.positiontup or ())
        if names == list(self._parameters):
            return str(compiled), None
        constants = compiled.params
        places = [self._parameters.index(name) if name in self._parameters else None for name in names]
        fixed = [constants[name] if place is None else None for name, place in zip(names, places, strict=True)]

        def arrange(values: Values) -> Values:
            return tuple(constant if place is None else values[place] for place, constant in zip(places, fixed, strict=True))

        return str(compiled), arrange


class Insertion:
    """Rows into a table, in one statement.

    PostgreSQL gets a JSON array for each column: psycopg's executemany costs us ten times as much per row, and its arrays are slow to make.

    Args:
        conflict: adds to the INSERT what is to be done where there is such a row (PostgreSQL: of these rows, no two may be alike in that).
        columns: the names of the columns, in the order in which the rows have them.
    """

    def __init__(self, table: Table, *columns: str, conflict: Callable[[str, Any], Any] = lambda _dialect, insert: insert) -> None:
        def rows(dialect: str) -> Any:
            return conflict(dialect, upsert(dialect, table))

        def arrays(dialect: str) -> Any:
            listed = (func.json_array_elements_text(cast(bindparam(name), postgresql.JSON)) for name in columns)
            each = [cast(one, table.c[name].type) for name, one in zip(columns, listed, strict=True)]
            return conflict(dialect, upsert(dialect, table).from_select(list(columns), select(*each)))

        self._rows = Statement(rows, *columns)
        self._arrays = Statement(arrays, *columns)

    def many(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Add the rows, if there are any."""
        if rows and connection.dialect.name == "postgresql":
            self._arrays.one(connection, *map(json.dumps, zip(*rows, strict=True)))
        else:
            self._rows.many(connection, rows)

    def one(self, connection: Connection, *values: Any) -> None:
        """Add a row."""
        self._rows.one(connection, *values)
