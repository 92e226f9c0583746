"""Back-pressure: so many requests at once, so many that wait for a moment, and a plain refusal for the others (P14).

A refusal costs microseconds, a request that waits for ever costs its client and everybody behind it. What must always
get through (health, ends of tokens, consents) has a lane of its own.
"""

from threading import Condition, Lock
from time import monotonic

from fhir_server.fhir.errors import Unavailable

WAITING = 100  # requests of a process that may wait for a place

_LATER = {"Retry-After": "1"}
_ENDS = {"PUT", "PATCH", "POST", "DELETE"}


def says_consent(path: str, method: str) -> bool:
    """Whether a request changes what a Consent says: it gets through however many there are."""
    return method in _ENDS and "/Consent" in path and not path.endswith("/_search")


class Gate:
    """At most `running` requests at once; `waiting` more may wait for `patience` seconds."""

    def __init__(self, running: int, waiting: int, patience: float = 1.0) -> None:
        self._free, self._places, self._patience = running, waiting, patience
        self._lock = Lock()
        self._freed = Condition(self._lock)

    def enter(self, *, reserved: bool = False) -> bool:
        """Take a place and say whether it is to be left; Unavailable (503, Retry-After) if none is free in time."""
        if reserved:
            return False
        with self._lock:
            if self._free <= 0:
                self._wait()
            self._free -= 1
        return True

    def leave(self, *, held: bool) -> None:
        """Leave the place that `enter` gave."""
        if held:
            with self._lock:
                self._free += 1
                self._freed.notify()

    def _wait(self) -> None:
        if self._places <= 0:
            raise Unavailable("The server has all it can do. Send the request again.", headers=_LATER)
        self._places -= 1
        until = monotonic() + self._patience
        try:
            while self._free <= 0:
                if not self._freed.wait(until - monotonic()) and self._free <= 0:
                    raise Unavailable("The server has all it can do. Send the request again.", headers=_LATER)
        finally:
            self._places += 1
