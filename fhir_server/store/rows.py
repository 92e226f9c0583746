"""All rows that one write adds, sent together: one statement on PostgreSQL, one per table on SQLite."""

import sqlite3
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
)

from fhir_server.store import failures, statements
from fhir_server.store.db import Taken

_COPY_FROM = 2000  # rows in one batch from which COPY is faster than unnest
_ARRAYS = (
    (SmallInteger, "smallint"),
    (BigInteger, "bigint"),
    (Integer, "integer"),
    (Boolean, "boolean"),
)


class Batch:
    """Rows gathered during a transaction; nothing reaches the database before `flush`."""

    def __init__(self) -> None:
        self._rows: dict[Table, list[Sequence[Any]]] = {}
        self._gone: dict[Table, list[Sequence[Any]]] = {}

    def add(self, table: Table, *row: Any) -> None:
        """Add one row, its values in the order of the table's columns."""
        self._rows.setdefault(table, []).append(row)

    def extend(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        """Add many rows, each with its values in the order of the table's columns."""
        if rows:
            self._rows.setdefault(table, []).extend(rows)

    def remove(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        """Delete rows of a posting list, each given in full, in the order of the table's columns."""
        if rows:
            self._gone.setdefault(table, []).extend(rows)

    def flush(self, connection: Connection) -> None:
        """Delete and insert everything gathered so far, and forget it; Taken if a key of it is there already."""
        try:
            self._flush(connection)
        except (sqlite3.IntegrityError, psycopg.IntegrityError) as error:
            if failures.is_taken(error):
                raise Taken from error
            raise

    def _flush(self, connection: Connection) -> None:
        gone, self._gone = self._gone, {}
        for table, values in gone.items():
            _delete(connection, table, values)
        rows, self._rows = self._rows, {}
        if not rows:
            return
        if connection.dialect.name == "sqlite":
            _insert_each(connection, rows)
        elif sum(map(len, rows.values())) >= _COPY_FROM:
            _copy_each(connection, rows)
        else:
            _insert_together(connection, rows)


def _insert_each(connection: Connection, rows: dict[Table, list[Sequence[Any]]]) -> None:
    driver: Any = connection.connection.driver_connection
    for table, values in rows.items():
        driver.executemany(_insert_sql(table), values)


@lru_cache(maxsize=64)
def _insert_sql(table: Table) -> str:
    marks = ",".join("?" * len(table.columns))
    return f'INSERT INTO "{table.name}" ({_columns(table)}) VALUES ({marks})'  # noqa: S608 - names of our own schema


def _insert_together(connection: Connection, rows: dict[Table, list[Sequence[Any]]]) -> None:
    parts = tuple((table, len(values) == 1 and _holds_bytes(table)) for table, values in rows.items())
    parameters: list[Any] = []
    for table, alone in parts:
        parameters += rows[table][0] if alone else _arrays(table, rows[table])
    statements.send(connection, _together_sql(parts), parameters)


@lru_cache(maxsize=64)
def _holds_bytes(table: Table) -> bool:
    """Tables whose rows mostly come one by one, and whose bytes would double in the text of an array."""
    return any(isinstance(column.type, LargeBinary) for column in table.columns)


@lru_cache(maxsize=512)
def _together_sql(parts: tuple[tuple[Table, bool], ...]) -> str:
    """One statement that inserts into all these tables: single rows by value, others from arrays."""
    inserts, at = [], 0
    for table, alone in parts:
        inserts.append(_insert_from(table, at, alone=alone))
        at += len(table.columns)
    heads = ", ".join(f"i{number} AS ({sql})" for number, sql in enumerate(inserts[:-1]))
    return f"WITH {heads} {inserts[-1]}" if heads else inserts[-1]


def _insert_from(table: Table, at: int, *, alone: bool) -> str:
    marks = _marks(table, at, "" if alone else "[]")
    source = f"VALUES ({marks})" if alone else f"SELECT * FROM unnest({marks})"  # noqa: S608 - own schema
    return f'INSERT INTO "{table.name}" ({_columns(table)}) {source}'


def _marks(table: Table, at: int, suffix: str) -> str:
    """Numbered parameters behind the first `at`, each with its column's type."""
    numbered = enumerate(table.columns, at + 1)
    return ", ".join(f"${number}::{_scalar_type(column.type)}{suffix}" for number, column in numbered)


def _arrays(table: Table, rows: Sequence[Sequence[Any]]) -> list[Any]:
    """The columns of these rows as PostgreSQL's array literals: much less work than the driver's own lists."""
    columns = zip(*rows, strict=True)
    return [write(values) for write, values in zip(_array_writers(table), columns, strict=True)]


@lru_cache(maxsize=64)
def _array_writers(table: Table) -> tuple[Callable[[Sequence[Any]], Any], ...]:
    writers: dict[str, Callable[[Sequence[Any]], Any]] = {"bytea": list, "text": _text_array}
    return tuple(writers.get(_scalar_type(column.type), _plain_array) for column in table.columns)


def _plain_array(values: Sequence[Any]) -> str:
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def _text_array(values: Sequence[str | None]) -> str:
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _copy_each(connection: Connection, rows: dict[Table, list[Sequence[Any]]]) -> None:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        for table, values in rows.items():
            with cursor.copy(f'COPY "{table.name}" ({_columns(table)}) FROM STDIN (FORMAT BINARY)') as copy:
                copy.set_types([_scalar_type(column.type) for column in table.columns])
                for row in values:
                    copy.write_row(row)


def _columns(table: Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.columns)


def _scalar_type(kind: object) -> str:
    if isinstance(kind, LargeBinary):
        return "bytea"
    return next((name for type_, name in _ARRAYS if isinstance(kind, type_)), "text")


def _delete(connection: Connection, table: Table, rows: list[Sequence[Any]]) -> None:
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.executemany(_delete_sql(table), rows)
    else:
        statements.send(connection, _delete_unnest_sql(table), _arrays(table, rows))


@lru_cache(maxsize=64)
def _delete_sql(table: Table) -> str:
    same = " AND ".join(f'"{column.name}"=?' for column in table.columns)
    return f'DELETE FROM "{table.name}" WHERE {same}'  # noqa: S608 - names of our own schema


@lru_cache(maxsize=64)
def _delete_unnest_sql(table: Table) -> str:
    same = " AND ".join(f'"{table.name}"."{column.name}"=d."{column.name}"' for column in table.columns)
    source = f"unnest({_marks(table, 0, '[]')}) AS d({_columns(table)})"
    return f'DELETE FROM "{table.name}" USING {source} WHERE {same}'  # noqa: S608 - names of our own schema
