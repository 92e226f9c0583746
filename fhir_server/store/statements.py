"""Statements compiled once per dialect and run on the driver's own cursor: what keeps hot paths short."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from sqlalchemy import Connection
from sqlalchemy.sql.expression import ClauseElement

from fhir_server.store import failures


class Statement:
    """A Core statement with named binds; `rows(connection, values)` runs it without building SQL again."""

    def __init__(self, clause: ClauseElement) -> None:
        self._clause = clause
        self._compiled: dict[str, tuple[str, tuple[str, ...] | None, dict[str, Any]]] = {}

    def rows(self, connection: Connection, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All result rows, as the driver returns them."""
        return run(connection, *self._prepare(connection, values))

    def _prepare(self, connection: Connection, values: Mapping[str, Any]) -> tuple[str, Any]:
        sql, order, fixed = self._sql(connection)
        if order is None:
            return sql, {**fixed, **values}
        return sql, [values[name] if name in values else fixed[name] for name in order]

    def _sql(self, connection: Connection) -> tuple[str, tuple[str, ...] | None, dict[str, Any]]:
        name = connection.dialect.name
        if name not in self._compiled:
            compiled = self._clause.compile(dialect=connection.dialect)
            order = tuple(compiled.positiontup) if compiled.positiontup is not None else None  # type: ignore[attr-defined]
            self._compiled[name] = (str(compiled), order, dict(compiled.params))
        return self._compiled[name]


def run(connection: Connection, sql: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Rows of an SQL text in the driver's own parameter style; [] for a statement without rows.

    LockError, NoStore or Unavailable (503) if the database is busy, broken or out of reach.
    """
    try:
        return _run(connection, sql, values)
    except (sqlite3.Error, psycopg.OperationalError) as error:
        failures.reraise(error)


def _run(connection: Connection, sql: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        return driver.execute(sql, values).fetchall()  # type: ignore[no-any-return]
    with driver.cursor(binary=True) as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []
