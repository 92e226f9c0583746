"""Keys that a transaction holds, so that equal conditional writes come one after another."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection


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
