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
        hand: _Hand | None = getattr(self._local, "hand", None)
        if hand is None:
            hand = self._local.hand = _Hand(self._free)
        if not hand.held or not is_usable(hand.held[0]):
            hand.held[:] = [_next_usable(self._free) or self._make()]
        return hand.held[0]

    def release(self) -> None:
        """Let others have this thread's connection."""
        hand: _Hand | None = getattr(self._local, "hand", None)
        if hand is not None and hand.held:
            self._free.append(hand.held.pop())


class _Hand:
    """What a thread holds; when the thread ends, it is free for another."""

    def __init__(self, free: deque[Connection]) -> None:
        self.held: list[Connection] = []
        weakref.finalize(self, free.extend, self.held)


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
