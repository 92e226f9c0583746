"""Statements compiled once per dialect and run on the driver's own cursor: what keeps hot paths short."""

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from threading import Lock
from typing import Any

import psycopg
from sqlalchemy import Connection, Dialect
from sqlalchemy.sql.expression import ClauseElement

from fhir_server.store import failures

KEPT = 2000  # compiled statements

_Compiled = tuple[str, tuple[str, ...], dict[str, Any]]  # text, names of the binds in order, values of fixed binds


class Statement:
    """A Core statement with named binds; `rows(connection, values)` runs it without building SQL again.

    Given the one dialect it is for, only its text is kept: of many statements the clauses would fill the memory.
    """

    def __init__(self, clause: ClauseElement, dialect: Dialect | None = None) -> None:
        self._clause = None if dialect else clause
        self._compiled: dict[str, _Compiled] = {}
        if dialect:
            self._compiled[dialect.name] = _compile(clause, dialect)

    def rows(self, connection: Connection, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All result rows, as the driver returns them."""
        return run(connection, *self._prepare(connection, values))

    def _prepare(self, connection: Connection, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        sql, order, fixed = self._sql(connection)
        return sql, [values[name] if name in values else fixed[name] for name in order]

    def _sql(self, connection: Connection) -> _Compiled:
        name = connection.dialect.name
        if name not in self._compiled and self._clause is not None:
            self._compiled[name] = _compile(self._clause, connection.dialect)
        return self._compiled[name]


def _compile(clause: ClauseElement, dialect: Dialect) -> _Compiled:
    compiled = clause.compile(dialect=_numbered(dialect))
    order = tuple(compiled.positiontup or ())  # type: ignore[attr-defined]
    return str(compiled), order, dict(compiled.params)


class Statements(OrderedDict[Hashable, Statement]):
    """Statements by what their text depends on; the least recently used are dropped, whatever callers ask for."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()

    def of(self, key: Hashable, build: Callable[[], ClauseElement], dialect: Dialect | None = None) -> Statement:
        """The statement under a key, built on first use."""
        with self._lock:
            found = self.get(key)
            if found is not None:
                self.move_to_end(key)
                return found
        made = Statement(build(), dialect)
        with self._lock:
            self[key] = made
            if len(self) > KEPT:
                self.popitem(last=False)
        return made


def run(connection: Connection, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Rows of an SQL text in the driver's own parameter style; [] for a statement without rows.

    LockError, NoStore or Unavailable (503) if the database is busy, broken or out of reach.
    """
    try:
        return _run(connection, sql, values)
    except (sqlite3.Error, psycopg.OperationalError) as error:
        failures.reraise(error)


def _run(connection: Connection, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        return driver.execute(sql, values).fetchall()  # type: ignore[no-any-return]
    cursor = send(connection, sql, values)
    return cursor.fetchall() if cursor.pgresult and cursor.pgresult.nfields else []


def send(connection: Connection, sql: str, values: Sequence[Any]) -> psycopg.RawCursor[Any]:
    """The connection's own cursor after this statement: its parameters are $1, $2, ..., its results binary.

    One cursor for all statements keeps what it learnt about types; numbered parameters need no rewriting of the text.
    """
    cursor: psycopg.RawCursor[Any] | None = connection.info.get("cursor")
    if cursor is None:
        driver: Any = connection.connection.driver_connection
        cursor = connection.info["cursor"] = psycopg.RawCursor(driver)
    return cursor.execute(sql, values, binary=True)


@cache
def _numbered(dialect: Dialect) -> Dialect:
    return dialect if dialect.name == "sqlite" else type(dialect)(paramstyle="numeric_dollar")  # type: ignore[call-arg]
