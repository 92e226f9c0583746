"""Reads take turns: two of a process are worked on at once.

Python runs one thread at a time, and a thread gives way at every call of the database and of the audit log. With many
readers at once each of these calls costs a switch of threads, which together cost more than the reading itself. A read
that takes long does not hold up the others: who waits for a moment goes on without a turn.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Semaphore

AT_ONCE = 2
_PATIENCE_SECONDS = 0.02


class Turns:
    """As many turns as are given at once."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._free = Semaphore(at_once)

    @contextmanager
    def one(self) -> Iterator[None]:
        """A turn, if one comes free in a moment; without one if not."""
        held = self._free.acquire(timeout=_PATIENCE_SECONDS)
        try:
            yield
        finally:
            if held:
                self._free.release()


def reads(method: str, path: str) -> bool:
    """Whether a request only reads, by its looks."""
    return method in {"GET", "HEAD"} or (method == "POST" and path.endswith(("/_search", "/$graphql")))
