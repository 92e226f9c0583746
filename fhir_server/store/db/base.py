"""What both databases have: connections of threads, time limits of requests, work that is run again."""

import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, event, text

from fhir_server.fhir.errors import Conflict
from fhir_server.store import failures
from fhir_server.store.leases import Leases

T = TypeVar("T")


class RunAgain(Exception):
    """Raised inside a transaction's work to have it rolled back and run again: another write came first."""


class Taken(RunAgain):
    """A row with the same key is there: another write came first, or an identity is somebody else's."""


Work = Callable[[Connection], T]

RETRIES: Final = 8
NO_END: Final = float("inf")
TOO_MANY: Final = "Too many requests change the same data at once. Send the request again."
_TAKEN = "An identity in this request belongs to another resource already. Choose another, or update that one."
_TAKEN_TRIES = 3  # the first time another write may just have come first; later it is there to stay
_TOUCH = text("UPDATE setting SET value = value WHERE name = 'node'")


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
        self._request.deadline = NO_END
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


def refuse_if_taken(attempt: int, error: Exception) -> None:
    """Conflict (409) when a key is still held by somebody else after some attempts."""
    if isinstance(error, Taken) and attempt + 1 >= _TAKEN_TRIES:
        raise Conflict(_TAKEN) from error


def restore(connection: Connection, remembered: dict[Any, Any]) -> None:
    """What a rolled-back transaction left in the connection's memory (the audit chain) must go as well."""
    connection.info.clear()
    connection.info.update(remembered)
