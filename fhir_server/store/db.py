"""The database: connections, durable transactions, and the only switches between SQLite and PostgreSQL.

SQLite: WAL with synchronous=FULL, one writer connection per process; writers queue, and the first in line commits for
all that wait (group commit), each inside its own savepoint. PostgreSQL: one connection per thread; a transaction is
run again from zero after a serialization failure or deadlock.
"""

import random
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from fhir_server.fhir.errors import Conflict, LockError, NoStore

T = TypeVar("T")


class RunAgain(Exception):
    """Raised inside a transaction's work to have it rolled back and run again: another write came first."""


Work = Callable[[Connection], T]

_GROUP = 64  # transactions committed together at most
_BUSY_SECONDS = 5.0
_CHECKPOINT_SECONDS = 1.0
_RETRIES = 8
_TOO_MANY = "Too many requests change the same data at once. Send the request again."
_RETRY_STATES = {"40001", "40P01"}  # serialization_failure, deadlock_detected


def open_database(url: str) -> "Database":
    """The database at an SQLAlchemy URL (sqlite:///path or postgresql+psycopg://...), not yet migrated."""
    if url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    return SQLiteDatabase(url) if url.startswith("sqlite") else PostgreSQLDatabase(url)


class Database:
    """Connections of one process. `read()` is for single statements, `write(work)` for transactions."""

    dialect: str

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._local = threading.local()
        self._held: list[Connection] = []
        self._held_lock = threading.Lock()

    def read(self) -> Connection:
        """This thread's autocommitting connection; each statement sees all that is committed."""
        connection: Connection | None = getattr(self._local, "read", None)
        if connection is None or connection.closed or connection.invalidated:
            connection = self._local.read = self._hold()
        return connection

    def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction that is durable when this returns; it may be run more than once."""
        raise NotImplementedError

    def close(self) -> None:
        """Close every connection; the database must not be used afterwards."""
        with self._held_lock:
            for connection in self._held:
                connection.close()
            self._held.clear()
        self._local = threading.local()
        self.engine.dispose()

    def _hold(self) -> Connection:
        connection = self.engine.connect().execution_options(
            isolation_level="AUTOCOMMIT"
        )
        with self._held_lock:
            self._held.append(connection)
        return connection


class _Ticket(Generic[T]):
    """One caller's transaction, waiting to be run by whoever leads the group."""

    def __init__(self, work: Work[T]) -> None:
        self.work = work
        self.done = False
        self.value: T | None = None
        self.error: BaseException | None = None

    def result(self) -> T:
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class SQLiteDatabase(Database):
    """One file, one writer per process, readers beside it."""

    dialect = "sqlite"

    def __init__(self, url: str) -> None:
        arguments = {
            "check_same_thread": False,
            "timeout": _BUSY_SECONDS,
            "cached_statements": 512,
        }
        engine = create_engine(
            url,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args=arguments,
        )
        event.listen(engine, "connect", _set_pragmas)
        super().__init__(engine)
        self._queue: deque[_Ticket[Any]] = deque()
        self._lead = threading.Lock()
        self._writer: Connection | None = None
        self._stop = threading.Event()
        self._checkpointer = threading.Thread(
            target=self._checkpoint, name="checkpoint", daemon=True
        )
        self._checkpointer.start()

    def write(self, work: Work[T]) -> T:
        """Run `work`, alone or with others; LockError if the file stays locked, NoStore if nothing can be stored."""
        for _ in range(_RETRIES):
            try:
                return self._queued(_Ticket(work))
            except RunAgain:
                continue
        raise Conflict(_TOO_MANY)

    def _queued(self, ticket: _Ticket[T]) -> T:
        self._queue.append(ticket)
        with self._lead:
            if not ticket.done:
                self._run(self._next_group())
        return ticket.result()

    def close(self) -> None:
        """Stop the checkpoints and close every connection."""
        self._stop.set()
        self._checkpointer.join()
        super().close()

    def _next_group(self) -> list[_Ticket[Any]]:
        group = []
        while self._queue and len(group) < _GROUP:
            group.append(self._queue.popleft())
        return group

    def _run(self, group: list[_Ticket[Any]]) -> None:
        try:
            connection = self._begin()
            for ticket in group:
                _run_in_savepoint(connection, ticket)
            connection.exec_driver_sql("COMMIT")
        except BaseException as error:  # noqa: BLE001 - nobody of this group may be told that it was stored
            self._abandon(group, error)
        finally:
            for ticket in group:
                ticket.done = True

    def _begin(self) -> Connection:
        if self._writer is None:
            self._writer = self._hold()
        try:
            self._writer.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError as error:
            message = (
                "The database is busy with another writer. Send the request again."
            )
            raise LockError(message, headers={"Retry-After": "1"}) from error
        return self._writer

    def _abandon(self, group: list[_Ticket[Any]], error: BaseException) -> None:
        if isinstance(error, DBAPIError):
            error = NoStore(
                "The database could not store the change; nothing of it was kept."
            )
        for ticket in group:
            ticket.error = error
        if self._writer is not None:
            self._writer.invalidate()
            self._writer.close()
            self._writer = None

    def _checkpoint(self) -> None:
        connection = self.engine.connect()
        try:
            while not self._stop.wait(_CHECKPOINT_SECONDS):
                try:
                    connection.exec_driver_sql(
                        "PRAGMA wal_checkpoint(PASSIVE)"
                    ).fetchall()
                except OperationalError:
                    continue  # a busy moment; the next second is as good
        finally:
            connection.close()


def _run_in_savepoint(connection: Connection, ticket: _Ticket[Any]) -> None:
    connection.exec_driver_sql("SAVEPOINT one")
    remembered = dict(connection.info)
    try:
        ticket.value = ticket.work(connection)
    except Exception as error:  # noqa: BLE001 - the caller of this ticket receives it
        connection.exec_driver_sql("ROLLBACK TO one")
        _restore(connection, remembered)
        ticket.error = error
    connection.exec_driver_sql("RELEASE one")


def _restore(connection: Connection, remembered: dict[Any, Any]) -> None:
    """What a rolled-back transaction left in the connection's memory (the audit chain) must go as well."""
    connection.info.clear()
    connection.info.update(remembered)


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={int(_BUSY_SECONDS * 1000)}",
        "wal_autocheckpoint=20000",
        "cache_size=-65536",
        "mmap_size=1073741824",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


class PostgreSQLDatabase(Database):
    """The production engine: a reading and a writing connection per thread."""

    dialect = "postgresql"

    def __init__(self, url: str) -> None:
        options = {
            "prepare_threshold": 3,
            "options": "-c synchronous_commit=on -c jit=off",
        }
        super().__init__(create_engine(url, poolclass=NullPool, connect_args=options, hide_parameters=True))

    def write(self, work: Work[T]) -> T:
        """Run `work` in one transaction, again from zero on a serialization failure; Conflict after too many."""
        for attempt in range(_RETRIES):
            try:
                return self._once(work)
            except DBAPIError as error:
                if not _is_retryable(error.orig):
                    raise
            except psycopg.Error as error:
                if not _is_retryable(error):
                    raise
            except RunAgain:
                pass
            time.sleep(random.random() * 0.01 * 2**attempt)  # noqa: S311 - spreads retries, guards nothing
        raise Conflict(
            "Too many requests change the same data at once. Send the request again."
        )

    def _once(self, work: Work[T]) -> T:
        connection = self._writing()
        remembered = dict(connection.info)
        try:
            with connection.begin():
                return work(connection)
        except BaseException:
            if not connection.invalidated:
                _restore(connection, remembered)
            raise

    def _writing(self) -> Connection:
        connection: Connection | None = getattr(self._local, "write", None)
        if connection is None or connection.closed or connection.invalidated:
            connection = self._local.write = self.engine.connect()
            with self._held_lock:
                self._held.append(connection)
        return connection


def _is_retryable(error: object) -> bool:
    return getattr(error, "sqlstate", None) in _RETRY_STATES


def lock_key(connection: Connection, number: int) -> None:
    """Hold this 64-bit key until the transaction ends, so that equal conditional writes come one after another.

    SQLite has one writer, so its transactions do that already.
    """
    if connection.dialect.name == "postgresql":
        driver: Any = connection.connection.driver_connection
        driver.execute("SELECT pg_advisory_xact_lock(%s)", (number,))
