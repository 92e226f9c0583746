"""The database: connections, durable transactions, and the only switches between SQLite and PostgreSQL.

SQLite: WAL with synchronous=FULL, one writer connection per process; writers queue, and the first in line commits for
all that wait (group commit), each inside its own savepoint. PostgreSQL: one connection per thread; a transaction is
run again from zero after a serialization failure or deadlock.
"""

from sqlalchemy import Connection

from fhir_server.store.db.base import Database, RunAgain, Taken
from fhir_server.store.db.locks import lock_key, lock_keys, try_lock_key
from fhir_server.store.db.postgresql import PostgreSQLDatabase
from fhir_server.store.db.sqlite import SQLiteDatabase

__all__ = ["Connection", "Database", "RunAgain", "Taken", "lock_key", "lock_keys", "open_database", "try_lock_key"]


def open_database(url: str) -> Database:
    """The database at an SQLAlchemy URL (sqlite:///path or postgresql+psycopg://...), not yet migrated."""
    if url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    return SQLiteDatabase(url) if url.startswith("sqlite") else PostgreSQLDatabase(url)
