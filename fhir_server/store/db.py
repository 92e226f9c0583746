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
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from fhir_server.fhir.errors import Conflict, FHIRError, NoStore
from fhir_server.store import failures, statements
from fhir_server.store.leases import Leases
from fhir_server.store.sessions import BUSY_SECONDS, SESSION, set_pragmas
from fhir_server.store.statistics import Learner

T = TypeVar("T")


class RunAgain(Exception):
    """Raised inside a transaction's work to have it rolled back and run again: another write came first."""


class Taken(RunAgain):
    """A row with the same key is there: another write came first, or an identity is somebody else's."""


Work = Callable[[Connection], T]

_GROUP = 64  # transactions committed together at most
_CHECKPOINT_SECONDS = 1.0
_NO_END = float("inf")
_STEPS_UNWATCHED = 100_000  # of SQLite's machine, about a millisecond
_RETRIES = 8
_TOO_MANY = "Too many requests change the same data at once. Send the request again."
_TAKEN = "An identity in this request belongs to another resource already. Choose another, or update that one."
_TAKEN_TRIES = 3  # the first time another write may just have come first; later it is there to stay
_RETRY_STATES = {"40001", "40P01"}  # serialization_failure, deadlock_detected


def open_database(url: str) -> "Database":
    """The database at an SQLAlchemy URL (sqlite:///path or postgresql+psycopg://...), not yet migrated."""
    if url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    return SQLiteDatabase(url) if url.startswith("sqlite") else PostgreSQLDatabase(url)


class Database:
    """Connections of one process. `read()` is for single statements, `write(work)` for transactions."""

    dialect: str
    _schema: str | None = None

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        event.listen(engine, "handle_error", failures.replace_lost, retval=True)
        self.limits: tuple[float, float] = (
            10,
            30,
        )  # seconds for a statement of a request that reads, and of one that writes
        self._request = threading.local()
        self._held: list[Connection] = []
        self._held_lock = threading.Lock()
        self._readers = Leases(self._hold)

    def read(self) -> Connection:
        """This thread's autocommitting connection; each statement sees all that is committed."""
        return self._readers.connection()

    def begin_request(self) -> None:
        """From now on this thread's statements are a request's, and limited in time."""
        self._request.deadline = time.monotonic() + self.limits[0]

    def end_request(self) -> None:
        """The request is over: other threads may have its connections."""
        self._request.deadline = _NO_END
        self._readers.release()

    def touch(self, connection: Connection) -> bool:
        """Whether something can be stored at present; nothing changes by it."""
        return connection.execute(_TOUCH).rowcount >= 0

    def is_current(self) -> bool:
        """Whether the schema is still the one that this process found first."""
        found = self.read().exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        self._schema = self._schema or found
        return bool(found == self._schema)

    def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction that is durable when this returns; it may be run more than once."""
        raise NotImplementedError

    def settled(self, now_ms: int) -> int:
        """The instant before which no transaction under way began: what is older is stored, or never will be.

        One writer stores in the order of its instants; what is newest among what is stored is settled.
        """
        return now_ms

    def close(self) -> None:
        """Close every connection; the database must not be used afterwards."""
        with self._held_lock:
            for connection in self._held:
                connection.close()
            self._held.clear()
        self._readers = Leases(self._hold)
        self.engine.dispose()

    def _hold(self) -> Connection:
        connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        with self._held_lock:
            self._held.append(connection)
        return connection


def _refuse_if_taken(attempt: int, error: Exception) -> None:
    """Conflict (409) when a key is still held by somebody else after some attempts."""
    if isinstance(error, Taken) and attempt + 1 >= _TAKEN_TRIES:
        raise Conflict(_TAKEN) from error


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
            "timeout": BUSY_SECONDS,
            "cached_statements": 512,
        }
        engine = create_engine(
            url,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args=arguments,
        )
        event.listen(engine, "connect", set_pragmas)
        event.listen(engine, "connect", self._limit)
        super().__init__(engine)
        self._queue: deque[_Ticket[Any]] = deque()
        self._lead = threading.Lock()
        self._leader = 0  # the thread that works on a group
        self._writer: Connection | None = None
        self._stop = threading.Event()
        self._checkpointer = threading.Thread(target=self._checkpoint, name="checkpoint", daemon=True)
        self._checkpointer.start()

    def write(self, work: Work[T]) -> T:
        """Run `work`, alone or with others; LockError if the file stays locked, NoStore if nothing can be stored."""
        for attempt in range(_RETRIES):
            try:
                return self._queued(_Ticket(work))
            except RunAgain as error:
                _refuse_if_taken(attempt, error)
        raise Conflict(_TOO_MANY)

    def _queued(self, ticket: _Ticket[T]) -> T:
        if self._leader == threading.get_ident():
            raise RuntimeError("A transaction within a transaction would wait for itself for ever.")
        self._queue.append(ticket)
        with self._lead:
            self._leader = threading.get_ident()
            try:
                while not ticket.done:  # more may be waiting than one group holds
                    self._run(self._next_group())
            finally:
                self._leader = 0
        return ticket.result()

    def close(self) -> None:
        """Stop the checkpoints and close every connection."""
        self._stop.set()
        self._checkpointer.join()
        super().close()

    def _limit(self, connection: sqlite3.Connection, _record: object) -> None:
        """Give up a statement when its request's time is over."""
        connection.set_progress_handler(
            lambda: time.monotonic() > getattr(self._request, "deadline", _NO_END), _STEPS_UNWATCHED
        )

    def _next_group(self) -> list[_Ticket[Any]]:
        group: list[_Ticket[Any]] = []
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
        self._writer.exec_driver_sql("BEGIN IMMEDIATE")
        return self._writer

    def _abandon(self, group: list[_Ticket[Any]], error: BaseException) -> None:
        failed = failures.known(error) or error
        if isinstance(failed, DBAPIError) or not isinstance(failed, Exception):
            failed = NoStore("The database could not store the change; nothing of it was kept.")
        for ticket in group:
            ticket.error = failed
        if self._writer is not None:
            self._writer.invalidate()
            self._writer.close()
            self._writer = None

    def _checkpoint(self) -> None:
        connection: Connection | None = None
        while not self._stop.wait(_CHECKPOINT_SECONDS):
            try:
                connection = connection or self.engine.connect()
                connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            except (OperationalError, FHIRError):
                continue  # a busy moment, or no file yet; the next second is as good
        if connection is not None:
            connection.close()


def _run_in_savepoint(connection: Connection, ticket: _Ticket[Any]) -> None:
    connection.exec_driver_sql("SAVEPOINT one")
    remembered = dict(connection.info)
    try:
        ticket.value = ticket.work(connection)
    except Exception as error:  # noqa: BLE001 - the caller of this ticket receives it
        connection.exec_driver_sql("ROLLBACK TO one")
        _restore(connection, remembered)
        ticket.error = failures.known(error) or error
    connection.exec_driver_sql("RELEASE one")


def _restore(connection: Connection, remembered: dict[Any, Any]) -> None:
    """What a rolled-back transaction left in the connection's memory (the audit chain) must go as well."""
    connection.info.clear()
    connection.info.update(remembered)


class PostgreSQLDatabase(Database):
    """The production engine: a reading and a writing connection per thread."""

    dialect = "postgresql"

    def __init__(self, url: str) -> None:
        options = {
            "prepare_threshold": 3,
            "options": " ".join(f"-c {name}={value}" for name, value in SESSION.items()),
        }
        super().__init__(create_engine(url, poolclass=NullPool, connect_args=options, hide_parameters=True))
        self._writers = Leases(self._hold_writer)
        self._limited_readers = Leases(lambda: self._limited(self._hold(), self.limits[0]))
        self._limited_writers = Leases(lambda: self._limited(self._hold_writer(), self.limits[1]))
        self._learner = Learner(self.engine)

    def close(self) -> None:
        """Close every connection."""
        self._learner.close()
        super().close()

    def write(self, work: Work[T]) -> T:
        """Run `work` in one transaction, again from zero on a serialization failure; Conflict after too many."""
        for attempt in range(_RETRIES):
            try:
                return self._once(work)
            except RunAgain as error:
                _refuse_if_taken(attempt, error)
            except (DBAPIError, psycopg.Error) as error:
                if not _is_retryable(error.orig if isinstance(error, DBAPIError) else error):
                    failures.reraise(error)
            time.sleep(random.random() * 0.01 * 2**attempt)  # noqa: S311 - spreads retries, guards nothing
        raise Conflict(_TOO_MANY)

    def settled(self, now_ms: int) -> int:
        """Transactions are stored in another order than they began: back to the oldest of them, and a little more."""
        oldest = statements.run(self.read(), _OLDEST_MS, [])
        return now_ms - int(oldest[0][0]) - _BEFORE_BEGIN_MS

    def _once(self, work: Work[T]) -> T:
        connection = self._writing()
        remembered = dict(connection.info)
        try:
            with connection.begin():
                value = work(connection)
        except BaseException:
            if not connection.invalidated:
                _restore(connection, remembered)
            raise
        self._learner.wrote()
        return value

    def read(self) -> Connection:
        """This thread's autocommitting connection, limited in time while a request is answered."""
        return (self._limited_readers if self._in_request() else self._readers).connection()

    def end_request(self) -> None:
        """The request is over: other threads may have its connections."""
        super().end_request()
        self._limited_readers.release()
        self._limited_writers.release()

    def _in_request(self) -> bool:
        return getattr(self._request, "deadline", _NO_END) != _NO_END

    def _writing(self) -> Connection:
        return (self._limited_writers if self._in_request() else self._writers).connection()

    def _limited(self, connection: Connection, seconds: float) -> Connection:
        driver: Any = connection.connection.driver_connection
        driver.execute(f"SET statement_timeout = '{int(seconds * 1000)}ms'")
        if not driver.autocommit:
            driver.commit()
        return connection

    def _hold_writer(self) -> Connection:
        connection = self.engine.connect()
        with self._held_lock:
            self._held.append(connection)
        return connection


_BEFORE_BEGIN_MS = 2000  # a thread may be held up between taking its instant and its first statement
_OLDEST_MS = """SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 * 1000
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"""


def _is_retryable(error: object) -> bool:
    return getattr(error, "sqlstate", None) in _RETRY_STATES


_TOUCH = text("UPDATE setting SET value = value WHERE name = 'node'")


def lock_key(connection: Connection, number: int) -> None:
    """Hold this 64-bit key until the transaction ends, so that equal conditional writes come one after another.

    SQLite has one writer, so its transactions do that already.
    """
    lock_keys(connection, [number])


def try_lock_key(connection: Connection, number: int) -> bool:
    """As `lock_key`, but False at once where another transaction holds it."""
    if connection.dialect.name != "postgresql":
        return True
    driver: Any = connection.connection.driver_connection
    return bool(driver.execute("SELECT pg_try_advisory_xact_lock(%s)", (number,)).fetchone()[0])


def lock_keys(connection: Connection, numbers: Iterable[int]) -> None:
    """Hold all these keys until the transaction ends; taken in one order, so that no two wait for each other."""
    if connection.dialect.name == "postgresql":
        driver: Any = connection.connection.driver_connection
        driver.execute("SELECT pg_advisory_xact_lock(k) FROM unnest(%s::bigint[]) k", (sorted(set(numbers)),))
