"""Which posting lists were found to be long: counting thousands of rows again tells nothing new for a while.

Only how a search is carried out depends on it, never what it finds.
"""

from fhir_server.search.model import Criterion, Match

_USES = 500  # until a list is counted again: it may have become short
_MOST = 10_000  # lists


class LongLists:
    """Remembers criteria by their hash, so that nothing of what clients look for is kept."""

    def __init__(self) -> None:
        self._left: dict[int, int] = {}

    def has(self, criterion: Criterion) -> bool:
        """Whether it was found to list many, not too many questions ago. One question is taken off."""
        key = hash(criterion)
        left = self._left.get(key, 0)
        if left > 1:
            self._left[key] = left - 1
        else:
            self._left.pop(key, None)
        return left > 0

    def add(self, criterion: Criterion) -> None:
        """Take note that it lists many. Chains are left out: what they list depends on who asks."""
        if isinstance(criterion, Match):
            if len(self._left) >= _MOST:
                self._left.clear()
            self._left[hash(criterion)] = _USES
