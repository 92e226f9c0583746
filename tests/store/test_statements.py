"""Statements compiled once: the same rows as SQLAlchemy's own way, and failures in words of ours."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest
from sqlalchemy import bindparam, insert, literal_column, select, text

from fhir_server.fhir.errors import LockError, NoStore, Unavailable
from fhir_server.store import failures
from fhir_server.store.db import Database, open_database
from fhir_server.store.statements import Statement, run
from fhir_server.store.tables import setting

BY_NAME = Statement(select(setting.c.name, setting.c.value).where(setting.c.name.in_([bindparam("a"), bindparam("b")])))
WITH_LIMIT = Statement(select(setting.c.name).order_by(setting.c.name).limit(2).offset(bindparam("skip")))


@pytest.fixture
def filled(database: Database) -> Database:
    rows = [{"name": name, "value": name.upper()} for name in "abc"]
    database.write(lambda connection: connection.execute(insert(setting), rows).rowcount)
    return database


def test_rows_by_named_values(filled: Database) -> None:
    assert sorted(map(tuple, BY_NAME.rows(filled.read(), {"a": "a", "b": "c"}))) == [("a", "A"), ("c", "C")]


def test_the_same_statement_runs_on_many_connections(filled: Database) -> None:
    for _ in range(5):
        assert len(BY_NAME.rows(filled.read(), {"b": "a", "a": "b"})) == 2
    assert filled.write(lambda connection: len(BY_NAME.rows(connection, {"a": "a", "b": "a"}))) == 1


def test_values_fixed_in_the_statement_stay(filled: Database) -> None:
    """The limit is part of the statement, the offset of the call."""
    assert [row[0] for row in WITH_LIMIT.rows(filled.read(), {"skip": 1})] == ["b", "c"]


def test_values_are_bound_and_never_spliced(filled: Database) -> None:
    """T25."""
    assert BY_NAME.rows(filled.read(), {"a": "a' OR '1'='1", "b": "%s ? :x"}) == []


def test_a_statement_without_rows_gives_none(filled: Database) -> None:
    sql = "UPDATE setting SET value = value"
    assert filled.write(lambda connection: run(connection, sql, ())) == []


def test_a_missing_table_is_our_mistake(filled: Database) -> None:
    """Only passing conditions are 503; a statement that cannot be right must be seen."""
    with pytest.raises((sqlite3.OperationalError, psycopg.errors.UndefinedTable)):
        Statement(select(literal_column("1")).select_from(text("nothing_here"))).rows(filled.read(), {})


def _sqlite(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (_sqlite(sqlite3.SQLITE_BUSY), LockError),
        (_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT), LockError),
        (_sqlite(sqlite3.SQLITE_FULL), NoStore),
        (_sqlite(sqlite3.SQLITE_IOERR_FSYNC), NoStore),
        (_sqlite(sqlite3.SQLITE_READONLY), NoStore),
        (_sqlite(sqlite3.SQLITE_ERROR), None),
        (psycopg.OperationalError("connection refused"), Unavailable),
        (psycopg.errors.AdminShutdown("x"), Unavailable),
        (psycopg.errors.CannotConnectNow("x"), Unavailable),
        (psycopg.errors.DiskFull("x"), NoStore),
        (psycopg.errors.IoError("x"), NoStore),
        (psycopg.errors.SerializationFailure("x"), None),
        (psycopg.errors.UndefinedTable("x"), None),
        (ValueError("x"), None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_which_failures_pass(error: Exception, expected: type[Exception] | None) -> None:
    """Rows 114, 115: 503 for what may work a moment later, with Retry-After."""
    known = failures.known(error)
    assert type(known) is (expected or type(None))
    assert known is None or known.headers["Retry-After"]


@pytest.mark.postgresql
def test_a_lost_connection_is_told_once_and_replaced(fresh_url: Callable[[str], str]) -> None:
    """P19: the database went away and came back; the next statement of this thread has a new connection."""
    url = fresh_url("postgresql")
    others = "pid <> pg_backend_pid() AND datname = current_database()"
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
    everything = Statement(select(setting.c.name))
    with (
        closing(open_database(url)) as database,
        closing(psycopg.connect(url.replace("+psycopg", ""), autocommit=True)) as other,
    ):
        everything.rows(database.read(), {})
        database.write(lambda connection: everything.rows(connection, {}))
        other.execute(end)
        with pytest.raises(Unavailable):
            everything.rows(database.read(), {})
        with pytest.raises(Unavailable):
            database.write(lambda connection: everything.rows(connection, {}))
        assert everything.rows(database.read(), {}) is not None
        assert database.write(lambda connection: everything.rows(connection, {})) is not None
        other.execute(end)
        with pytest.raises(Unavailable):
            database.read().execute(select(setting.c.name))
        with pytest.raises(Unavailable):
            database.write(lambda connection: connection.execute(select(setting.c.name)).all())
        assert database.read().execute(select(setting.c.name)).all() is not None
        assert database.write(lambda connection: connection.execute(select(setting.c.name)).all()) is not None
