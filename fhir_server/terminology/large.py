"""Code systems too large for dictionaries: asked code by code and page by page from their tables.

A version that is loaded never changes, so what was found once is remembered.
"""

from collections.abc import Iterator, Mapping

import orjson

from fhir_server.fhir.memory import remembered
from fhir_server.store import concepts
from fhir_server.store.concepts import READY, Stored, System, Wish
from fhir_server.store.db import Database
from fhir_server.terminology.code_systems import Concept

MOST_LISTED = 501  # more codes than a search takes

_GRAMMARS = frozenset({"http://unitsofmeasure.org"})  # their codes are made of parts: not all can be listed
_KEPT = 20_000
_FIRST, _PAGE = 64, 1_000  # who asks for a page of an expansion seldom wants more than the first


class LargeSystem:
    """One version of a code system in the tables; answers as a CodeSystem does."""

    def __init__(self, database: Database, row: System) -> None:
        self._database, self._id = database, row.id
        self.url, self.version, self.name = row.url, row.version, row.name
        self.complete = row.url not in _GRAMMARS
        self.language = ""
        self.kinds: Mapping[str, str] = {}
        self.size = row.done
        self.find = remembered(_KEPT)(self._find)
        self.is_under = remembered(_KEPT)(self._is_under)

    def _find(self, code: str) -> Concept | None:
        found = concepts.find(self._database.read(), self._id, code)
        return told(found) if found else None

    def _is_under(self, code: str, above: str) -> bool:
        return concepts.is_under(self._database.read(), self._id, code, above)

    def proper(self, code: str) -> str:
        """The code as the system writes it: as it is."""
        return code

    def above(self, code: str) -> list[str]:
        """The code and all it stands under."""
        found = concepts.above(self._database.read(), self._id, code)
        return sorted(found or [code], key=lambda one: one != code)

    def below(self, code: str) -> dict[str, str | None]:
        """The codes under `code`, at most MOST_LISTED; not `code` itself."""
        found = self.walk(Wish(under=(code,)), MOST_LISTED + 1)
        return {one: concept.display for one, concept in found if one != code}

    def walk(self, wish: Wish, limit: int, skip: int = 0) -> Iterator[tuple[str, Concept]]:
        """The concepts that fit, in the order of the distribution, behind the first `skip`, no more than `limit`."""
        after, left, size = -1, limit, _FIRST
        if wish == Wish():
            after, skip = skip - 1, 0  # they are numbered from 0 on
        while left > 0:
            wanted = min(left, size)
            rows = concepts.page(self._database.read(), self._id, wish, after, wanted, skip)
            skip = 0
            for row in rows:
                yield row.code, told(row)
            if len(rows) < wanted:
                return
            after, left, size = rows[-1].number, left - wanted, min(2 * size, _PAGE)

    def place(self, code: str) -> tuple[int, int] | None:
        """Where the tables have a code: (system, number); None if there is no such code."""
        found = concepts.find(self._database.read(), self._id, code)
        return (self._id, found.number) if found else None

    def count(self, wish: Wish) -> int | None:
        """How many concepts fit; None if there are too many to count."""
        if wish == Wish():
            return self.size
        found = concepts.count(self._database.read(), self._id, wish)
        return found if found < concepts.MOST_COUNTED else None


def told(row: Stored) -> Concept:
    """A row of the table as a concept."""
    facts = orjson.loads(row.facts)
    properties = {name: tuple(values) for name, values in facts.get("properties", {}).items()}
    if not row.active:
        properties["inactive"] = (True,)
    return Concept(
        row.display or None,
        tuple(facts.get("parents", ())),
        properties,
        facts.get("definition"),
        tuple(facts.get("designations", ())),
        active=row.active,
    )


def installed(database: Database) -> dict[str, LargeSystem]:
    """The systems that are loaded, by url|version, and by url the one that was loaded last."""
    found: dict[str, LargeSystem] = {}
    for row in concepts.systems(database.read()):
        if row.state == READY:
            system = LargeSystem(database, row)
            found.setdefault(row.url, system)
            found[f"{row.url}|{row.version}"] = system
    return found
