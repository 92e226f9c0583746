"""What PostgreSQL knows of its tables while they grow fast.

Its autovacuum looks once a minute; plans made before that are far off (measured after a first import: a roster in 9
seconds instead of 30 milliseconds). So a process that writes looks once a second whether a table has outgrown what the
planner knows of it.

https://www.postgresql.org/docs/current/planner-stats.html
"""

import threading

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from fhir_server.fhir.errors import FHIRError
from fhir_server.store.tables import metadata

_SECONDS = 1.0
# relpages: the size at the last look. In a table that was not looked at since it was made, a few pages count already.
_OUTGROWN = """
SELECT relname FROM pg_class
WHERE relname = ANY(%s) AND relkind = 'r' AND pg_table_is_visible(oid)
  AND pg_relation_size(oid) / current_setting('block_size')::int > 1.5 * relpages + 4
"""


class Learner:
    """Lets the database learn beside the work of a process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._wrote, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="statistics", daemon=True)
        self._thread.start()

    def wrote(self) -> None:
        """Take note that there was a transaction."""
        if not self._wrote.is_set():
            self._wrote.set()

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._wrote.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_SECONDS):
            self._wrote.wait()
            if self._stop.is_set():
                return
            self._wrote.clear()
            try:
                with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    learn(connection)
            except (DBAPIError, FHIRError):
                continue  # a database that is busy, or goes away; the next second is as good


def learn(connection: Connection) -> list[str]:
    """Analyze the tables that have outgrown their statistics; their names."""
    rows = connection.exec_driver_sql(_OUTGROWN, (list(metadata.tables),))
    names = sorted(row[0] for row in rows)
    if names:
        connection.exec_driver_sql("ANALYZE " + ", ".join(f'"{name}"' for name in names))
    return names
