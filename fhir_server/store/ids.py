"""Identities made by the application: row numbers and logical ids, both ordered by time.

A logical id of ours is a UUIDv7 whose `rand_a` field holds the 12-bit part of the patient compartment it belongs to, so
that a read by id knows where to look. A client-assigned id is placed by its hash.
"""

import hashlib
import re
import secrets
import threading
from collections.abc import Callable

_EPOCH_2020 = 1_577_836_800_000
_OURS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7([0-9a-f]{3})-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_PARTS = 4096


def part_of(fid: str) -> int:
    """The partition (0..4095) of a logical id."""
    ours = _OURS.fullmatch(fid)
    if ours:
        return int(ours[1], 16)
    return int.from_bytes(hashlib.blake2b(fid.encode(), digest_size=2).digest(), "big") % _PARTS


class Ids:
    """A source of unique identities for one process; `node` (0..1023) tells processes apart."""

    def __init__(self, clock: Callable[[], int], node: int) -> None:
        self._clock = clock
        self._node = node % 1024
        self._lock = threading.Lock()
        self._last = 0
        self._seq = 0

    def rid(self) -> int:
        """The next row number: milliseconds since 2020, node, sequence; even and strictly growing in this process.

        The odd number above it is kept for the same resource's contact view.
        """
        with self._lock:
            now = max(self._clock() - _EPOCH_2020, self._last)
            self._seq = self._seq + 2 if now == self._last else 0
            if self._seq == _PARTS:
                now, self._seq = now + 1, 0
            self._last = now
            return now << 22 | self._node << 12 | self._seq

    def fid(self, part: int | None = None) -> str:
        """A new logical id in `part`, or in a random one."""
        drawn = secrets.randbits(74)
        place = drawn >> 62 if part is None else part
        number = (self._clock() & (1 << 48) - 1) << 80 | 7 << 76 | place << 64 | 2 << 62 | drawn & (1 << 62) - 1
        text = f"{number:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
