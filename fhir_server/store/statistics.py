"""What PostgreSQL knows of its tables while they are young.

Its autovacuum looks once a minute; plans made before that are far off (measured: a roster in 9 seconds instead of 25
milliseconds). So the first writes of a process have the tables looked at as they grow.

https://www.postgresql.org/docs/current/planner-stats.html
"""

import threading
from itertools import count

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from fhir_server.store.tables import metadata

LEARN_AFTER = frozenset({2, 8, 32, 128, 512, 2048, 8192})  # transactions of this process
_GROWN = 200_000  # resources from which on autovacuum is early enough


class Learner:
    """Counts the transactions of a process and lets the database learn, beside the work, after some of them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._numbers = count(1)
        self._thread: threading.Thread | None = None

    def wrote(self) -> None:
        """Take note of one transaction."""
        if next(self._numbers) in LEARN_AFTER and not (self._thread and self._thread.is_alive()):
            self._thread = threading.Thread(target=self._learn, name="statistics", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Wait until nothing is under way."""
        if self._thread is not None:
            self._thread.join()

    def _learn(self) -> None:
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                known = connection.exec_driver_sql("SELECT reltuples FROM pg_class WHERE oid = to_regclass('res')")
                if (known.scalar() or 0) < _GROWN:
                    connection.exec_driver_sql("ANALYZE " + ", ".join(f'"{name}"' for name in metadata.tables))
        except DBAPIError:  # a database that is closing, or has no time now; autovacuum will look
            return
