"""Connections lent to threads: each thread keeps one while it works, and gives it back when it is done or ends."""

import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection


class Leases:
    """Connections of one kind; the one that was given back last, which knows most by heart, is lent first."""

    def __init__(self, make: Callable[[], Connection]) -> None:
        self._make = make
        self._free: deque[Connection] = deque()
        self._local = threading.local()

    def connection(self) -> Connection:
        """This thread's connection."""
        lease: _Lease | None = getattr(self._local, "lease", None)
        if lease is None or not is_usable(lease.connection):
            lease = self._local.lease = _Lease(self._free, self._make)
        return lease.connection

    def release(self) -> None:
        """Let others have this thread's connection."""
        lease: _Lease | None = self._local.__dict__.pop("lease", None)
        if lease is not None:
            lease.end()


class _Lease:
    """A thread's hold on a connection; when the thread ends, the connection is free for another."""

    def __init__(self, free: deque[Connection], make: Callable[[], Connection]) -> None:
        self.connection = _next_usable(free) or make()
        self.end = weakref.finalize(self, free.append, self.connection)


def _next_usable(free: deque[Connection]) -> Connection | None:
    while True:
        try:
            connection = free.pop()
        except IndexError:
            return None
        if is_usable(connection):
            return connection


def is_usable(connection: Connection) -> bool:
    """Whether it still leads to the database; the driver knows first when a server has gone."""
    if connection.closed or connection.invalidated:
        return False
    driver: Any = connection.connection.driver_connection
    return not getattr(driver, "closed", False)
