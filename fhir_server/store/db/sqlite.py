"""SQLite: one file, one writer per process, and commits that those who wait for it share."""

import sqlite3
import threading
import time
from collections import deque
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from fhir_server.fhir.errors import Conflict, FHIRError, NoStore
from fhir_server.store import failures
from fhir_server.store.db.base import NO_END, RETRIES, TOO_MANY, Database, RunAgain, Work, refuse_if_taken, restore
from fhir_server.store.sessions import BUSY_SECONDS, set_pragmas

T = TypeVar("T")

_GROUP = 64  # transactions committed together at most
_CHECKPOINT_SECONDS = 1.0
_STEPS_UNWATCHED = 100_000  # of SQLite's machine, about a millisecond


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
        for attempt in range(RETRIES):
            try:
                return self._queued(_Ticket(work))
            except RunAgain as error:
                refuse_if_taken(attempt, error)
        raise Conflict(TOO_MANY)

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
            lambda: time.monotonic() > getattr(self._request, "deadline", NO_END), _STEPS_UNWATCHED
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
        restore(connection, remembered)
        ticket.error = failures.known(error) or error
    connection.exec_driver_sql("RELEASE one")
