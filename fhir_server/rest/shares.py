"""How many requests one client may send, so that none takes the others' places (P14).

The entries of a Bundle count like requests, once it is let in: none is done by half, and no Bundle is too long for it.

Counted by each server process for itself: it costs no look at the database, and what it protects is the process.
"""

from collections.abc import Callable
from math import ceil
from threading import Lock
from time import monotonic

from fhir_server.fhir.errors import Throttled

_MINUTE = 60.0  # seconds


class Shares:
    """`most` requests of a client at once, and as many again in every minute, evenly; 0 sets no limit."""

    def __init__(self, most: int, clock: Callable[[], float] = monotonic) -> None:
        self._most, self._clock, self._lock = most, clock, Lock()
        self._spent: dict[str, float] = {}  # client -> until when it would have to wait if it had no reserve

    def take(self, client: str) -> None:
        """Count a request; Throttled (429, Retry-After in seconds) if the client has sent too many."""
        if self._most <= 0:
            return
        with self._lock:
            wait = self._wait(client)
        if wait > 0:
            message = f"This client may send {self._most} requests in a minute. Send this one again later."
            raise Throttled(message, headers={"Retry-After": str(ceil(wait))})

    def owe(self, client: str) -> None:
        """Count one entry of a Bundle that was let in: whoever sends many at once waits the longer before the next."""
        if self._most <= 0:
            return
        with self._lock:
            now = self._clock()
            self._spent[client] = max(self._spent.get(client, now), now) + _MINUTE / self._most

    def _wait(self, client: str) -> float:
        now, step = self._clock(), _MINUTE / self._most
        spent = max(self._spent.get(client, now), now)
        wait = spent + step - _MINUTE - now
        if wait <= 1e-9:  # noqa: PLR2004 - sums of fractions are no whole minute
            self._spent[client] = spent + step
            return 0.0
        return wait
