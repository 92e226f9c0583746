"""Brakes on guessing: failed authentications of one client from one address.

The limiter behind Flask-Limiter is used without its Flask part, whose hooks would run on every FHIR request as well.
"""

import time

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter


class Throttle:
    """Counts failures in this process; `rate` is for example "5/minute", and "" counts nothing."""

    def __init__(self, rate: str) -> None:
        self._item = parse(rate) if rate else None
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def wait(self, client: str, address: str) -> int:
        """For how many seconds this client at this address must wait; 0 when it may try."""
        if self._item is None or self._limiter.test(self._item, client, address):
            return 0
        reset = self._limiter.get_window_stats(self._item, client, address).reset_time
        return max(1, round(reset - time.time()))

    def failed(self, client: str, address: str) -> None:
        """Count one failure."""
        if self._item is not None:
            self._limiter.hit(self._item, client, address)
