"""Back-pressure: so many requests at once, so many that wait for a moment, and a plain refusal for the others (P14).

A refusal costs microseconds, a request that waits for ever costs its client and everybody behind it. What must always
get through (health, ends of tokens, consents) has a lane of its own.
"""

from _thread import LockType
from collections import deque
from collections.abc import Sequence
from threading import Lock

from fhir_server.fhir.errors import Unavailable

WAITING = 100  # requests of a process that may wait for a place

_ENDS = {"PUT", "PATCH", "POST", "DELETE"}


def says_consent(path: Sequence[str], method: str) -> bool:
    """Whether a request changes what a Consent says: it gets through however many there are.

    `path`: the steps below the FHIR base. Nothing but [Consent] and [Consent, id]: no operation, no other type's id.
    """
    if method not in _ENDS or not path or path[0] != "Consent":
        return False
    return len(path) == 1 or (len(path) == 2 and path[1][0] not in "$_")  # noqa: PLR2004 - type and id


class Gate:
    """At most `running` requests at once; `waiting` more may wait for `patience` seconds, and the first goes first."""

    def __init__(self, running: int, waiting: int, patience: float = 1.0) -> None:
        self._free, self._waiting, self._patience = running, waiting, patience
        self._lock = Lock()
        self._queue: deque[LockType] = deque()

    def enter(self, *, reserved: bool = False) -> bool:
        """Take a place and say whether it is to be left; Unavailable (503, Retry-After) if none is free in time."""
        if reserved:
            return False
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return True
            if len(self._queue) >= self._waiting:
                raise _busy()
            turn = Lock()
            turn.acquire()  # whoever leaves a place to this request releases it
            self._queue.append(turn)
        if not turn.acquire(timeout=self._patience):
            self._give_up(turn)
        return True

    def leave(self, *, held: bool) -> None:
        """Leave the place that `enter` gave, to the first who waits if somebody does."""
        if not held:
            return
        with self._lock:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._free += 1

    def _give_up(self, turn: LockType) -> None:
        """Unavailable, unless the place came at the last moment."""
        with self._lock:
            if turn in self._queue:
                self._queue.remove(turn)
                raise _busy()


def _busy() -> Unavailable:
    return Unavailable("The server has all it can do. Send the request again.", headers={"Retry-After": "1"})
