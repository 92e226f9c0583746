"""What is refused to nobody in particular: told in the audit trail, in bounded space.

Who is refused can ask again as often as he likes, mostly without a token. So the first refusal of an address with a
status becomes an event at once, and the others of that minute one event with their number. Of more addresses than are
told apart in a minute the others are one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final

from fhir_server.engine.events import Event

TOLD_APART: Final = 64  # clients, addresses and statuses in a minute
OTHERS: Final = "others"

_Key = tuple[str, str, int]  # client if it is known, address, status
_MINUTE: Final = 60_000_000  # microseconds
_IPV6_NETWORK: Final = 64  # bits: what one sender has at least
_ALWAYS: Final = 2**62


@dataclass
class _Counted:
    """The refusals of one minute behind the first: the last of them, and how many."""

    last: Event
    number: int = 0


class Refusals:
    """Refusals by address and status, for a minute each; `append` puts an event into the trail."""

    def __init__(self, append: Callable[[Event], None]) -> None:
        self._append, self._lock = append, Lock()
        self._minute = 0
        self._counted: dict[_Key, _Counted] = {}

    def note(self, refusal: Event) -> None:
        """Put a refusal into the trail, or count it; NoStore if the trail takes nothing."""
        with self._lock:
            over = self._over(refusal.at)
            key = self._key(refusal)
            known = self._counted.get(key)
            if known is None:
                self._counted[key] = _Counted(refusal._replace(address=key[1]))
            else:
                known.last, known.number = refusal._replace(address=key[1]), known.number + 1
        for event in over:
            self._append(event)
        if known is None:
            self._append(refusal)

    def tell(self, now: int) -> None:
        """Put what was counted in minutes that are over by `now` (microseconds) into the trail."""
        with self._lock:
            over = self._over(now)
        for event in over:
            self._append(event)

    def tell_all(self) -> None:
        """Put all that was counted into the trail."""
        self.tell(_ALWAYS)

    def _key(self, refusal: Event) -> _Key:
        """What refusals are counted by; beyond so many, all that is left is one."""
        key = (refusal.client, _network(refusal.address), refusal.outcome)
        if key in self._counted or len(self._counted) < TOLD_APART:
            return key
        return "", OTHERS, 0

    def _over(self, now: int) -> list[Event]:
        """Begin a new minute if it is time; what the last one counted."""
        minute = now // _MINUTE
        if minute == self._minute:
            return []
        told = [_summary(one) for one in self._counted.values() if one.number]
        self._minute, self._counted = minute, {}
        return told


def _summary(counted: _Counted) -> Event:
    return counted.last._replace(query=f"{counted.number} more within the minute, the last one: {counted.last.query}")


def _network(address: str) -> str:
    """An IPv4 address, or the network of an IPv6 address: one sender has all the addresses in it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:45]
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, _IPV6_NETWORK), strict=False))
