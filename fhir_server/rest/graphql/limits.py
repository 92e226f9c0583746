"""How much one query may ask for; each limit is refused by name."""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fhir_server.engine.context import Context
from fhir_server.fhir.errors import TimedOut, TooCostly

MOST: Final[Mapping[str, int]] = MappingProxyType(
    {
        "characters": 16_384,
        "tokens": 4_000,
        "levels of fields": 12,
        "fields": 500,
        "aliases": 100,
        "FHIRPath expressions": 20,
        "searches and reads": 50,
        "resources": 1_000,
        "bytes of resources": 16 * 1024**2,
        "values": 100_000,
        "characters told": 16 * 1024**2,
        "bytes under FHIRPath": 1024**2,
    }
)


class Spent:
    """What one query has used up, of each kind and of its time."""

    def __init__(self, context: Context) -> None:
        self._clock = context.engine.clock
        self._until = context.now + context.engine.settings.transaction_seconds * 1000
        self._spent: Counter[str] = Counter()

    def take(self, what: str, number: int = 1) -> None:
        """Count some more; TooCostly (400) beyond the limit, TimedOut (503) past the longest time of a transaction."""
        self._spent[what] += number
        self.reach(what, self._spent[what])
        if self._clock() > self._until:
            raise TimedOut("The query took too long and was given up. Ask for less at once.")

    def reach(self, what: str, number: int) -> None:
        """TooCostly (400), which names the limit, where a query has more of this."""
        if number > MOST[what]:
            raise TooCostly(f"A query may have {MOST[what]} {what}; ask in several queries.")
