"""All rows that one write adds, sent together: one statement on PostgreSQL, one per table on SQLite."""

import sqlite3
from collections.abc import Sequence
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

from fhir_server.store import failures
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
    tables = tuple(rows)
    columns = [list(column) for table in tables for column in zip(*rows[table], strict=True)]
    driver: Any = connection.connection.driver_connection
    driver.execute(_unnest_sql(tables), columns)


@lru_cache(maxsize=512)
def _unnest_sql(tables: tuple[Table, ...]) -> str:
    inserts = [_unnest_insert(table) for table in tables]
    heads = ", ".join(f"i{number} AS ({sql})" for number, sql in enumerate(inserts[:-1]))
    return f"WITH {heads} {inserts[-1]}" if heads else inserts[-1]


def _unnest_insert(table: Table) -> str:
    arrays = ", ".join(f"%s::{_scalar_type(column.type)}[]" for column in table.columns)
    return f'INSERT INTO "{table.name}" ({_columns(table)}) SELECT * FROM unnest({arrays})'  # noqa: S608 - own schema


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
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        driver.executemany(_delete_sql(table), rows)
    else:
        driver.execute(_delete_unnest_sql(table), [list(column) for column in zip(*rows, strict=True)])


@lru_cache(maxsize=64)
def _delete_sql(table: Table) -> str:
    same = " AND ".join(f'"{column.name}"=?' for column in table.columns)
    return f'DELETE FROM "{table.name}" WHERE {same}'  # noqa: S608 - names of our own schema


@lru_cache(maxsize=64)
def _delete_unnest_sql(table: Table) -> str:
    arrays = ", ".join(f"%s::{_scalar_type(column.type)}[]" for column in table.columns)
    same = " AND ".join(f'"{table.name}"."{column.name}"=d."{column.name}"' for column in table.columns)
    source = f"unnest({arrays}) AS d({_columns(table)})"
    return f'DELETE FROM "{table.name}" USING {source} WHERE {same}'  # noqa: S608 - names of our own schema
