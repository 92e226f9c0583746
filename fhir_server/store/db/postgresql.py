"""PostgreSQL: a reading and a writing connection per thread; a transaction that collides is run again from zero."""

import random
import time
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from fhir_server.fhir.errors import Conflict
from fhir_server.store import failures, statements
from fhir_server.store.db.base import NO_END, RETRIES, TOO_MANY, Database, RunAgain, Work, refuse_if_taken, restore
from fhir_server.store.leases import Leases
from fhir_server.store.sessions import SESSION
from fhir_server.store.statistics import Learner

T = TypeVar("T")

_RETRY_STATES = {"40001", "40P01"}  # serialization_failure, deadlock_detected


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
        for attempt in range(RETRIES):
            try:
                return self._once(work)
            except RunAgain as error:
                refuse_if_taken(attempt, error)
            except (DBAPIError, psycopg.Error) as error:
                if not _is_retryable(error.orig if isinstance(error, DBAPIError) else error):
                    failures.reraise(error)
            time.sleep(random.random() * 0.01 * 2**attempt)  # noqa: S311 - spreads retries, guards nothing
        raise Conflict(TOO_MANY)

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
                restore(connection, remembered)
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
        return getattr(self._request, "deadline", NO_END) != NO_END

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
