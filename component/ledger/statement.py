"""Statements of the hot path, compiled once for each kind of database."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ClauseElement, Connection, CursorResult, Dialect
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.compiler import SQLCompiler

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
