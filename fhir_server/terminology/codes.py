"""What the installed code systems, value sets and concept maps say of a code.

https://hl7.org/fhir/R4/terminology-module.html
"""

from collections.abc import Mapping
from typing import Any

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.errors import NotFound
from fhir_server.terminology import code_systems, value_sets

_UNRELATED = frozenset({"unmatched", "disjoint"})


class Terminology:
    """Answers from dictionaries that are built once from the installed definitions."""

    def __init__(self, definitions: Definitions) -> None:
        self._systems = code_systems.index(definitions.all("CodeSystem"))
        resources = {resource["url"]: resource for resource in definitions.all("ValueSet") if "url" in resource}
        compiler = value_sets.Compiler(resources, self._systems)
        self._value_sets = {url: compiler.compile(url) or {} for url in resources}
        self._maps = {
            resource["url"]: _pairs(resource) for resource in definitions.all("ConceptMap") if "url" in resource
        }

    def contains(self, value_set_url: str, system: str | None, code: str) -> bool | None:
        """Whether the value set contains the code; None if this cannot be told from what is installed.

        Without a system (an element of type `code`) any system of the value set will do.
        """
        members = self._value_sets.get(value_set_url.partition("|")[0])
        if members is None:
            return None
        if system:
            found = members.get(system)
            return found.has(code) if found else None if "" in members else False
        answers = {one.has(code) for one in members.values()}
        return True if True in answers else None if None in answers else False

    def covers(self, value_set_url: str, system: str | None) -> bool:
        """Whether the value set takes codes from the system, so that a code which is not in it is a slip."""
        return (system or "") in self._value_sets.get(value_set_url.partition("|")[0], {})

    def display(self, system: str, code: str) -> str | None:
        """The display of a code, or None if the system or the code is not installed."""
        concept = self._concept(system, code)
        return concept.display if concept else None

    def properties(self, system: str, code: str) -> Mapping[str, tuple[Any, ...]]:
        """The properties of a code by name, such as a county's `fips`; empty if it is not installed."""
        concept = self._concept(system, code)
        return concept.properties if concept else {}

    def translate(self, map_url: str, system: str, code: str) -> list[tuple[str, str]]:
        """The (system, code) pairs that a concept map leads to; NotFound if the map is not installed."""
        if (pairs := self._maps.get(map_url.partition("|")[0])) is None:
            raise NotFound(f"No concept map {map_url[:64]} is installed.")
        return list(pairs.get((system, code), ()))

    def expand(self, url: str) -> list[tuple[str, str, str | None]]:
        """The (system, code, display) of every code that can be listed; NotFound if the value set is not installed.

        Of a system that is not installed, and of a filter by prefix, only the codes that are named can be listed.
        """
        if (members := self._value_sets.get(url.partition("|")[0])) is None:
            raise NotFound(f"No value set {url[:64]} is installed.")
        return [
            (system, code, display or self.display(system, code))
            for system, one in members.items()
            for code, display in one.listed().items()
        ]

    def enumerated(self, url: str) -> list[tuple[str, str, bool]] | None:
        """All of a value set as (system, code, True), or (system, beginning of codes, False); None if it is not known.

        Not known is a value set that is not installed, or takes codes from a system that is not, or leaves codes out
        of those that begin alike.
        """
        members = self._value_sets.get(url.partition("|")[0])
        if members is None or any(one.open or (one.prefixes and one.without) for one in members.values()):
            return None
        found = [(system, code, True) for system, one in members.items() for code in one.listed()]
        return found + [(system, start, False) for system, one in members.items() for start in sorted(one.prefixes)]

    def below(self, system: str, code: str) -> list[str] | None:
        """The code and all codes under it; None if the system is not installed."""
        found = self._systems.get(system)
        return [code, *found.below(code)] if found else None

    def above(self, system: str, code: str) -> list[str] | None:
        """The code and all codes it stands under; None if the system is not installed."""
        found = self._systems.get(system)
        if found is None:
            return None
        codes = [code]
        for one in codes:  # grows while it is walked
            concept = found.concepts.get(one)
            codes += [parent for parent in concept.parents if parent not in codes] if concept else []
        return codes

    def _concept(self, system: str, code: str) -> code_systems.Concept | None:
        found = self._systems.get(system)
        return found.concepts.get(code) if found else None


def _pairs(resource: Mapping[str, Any]) -> dict[tuple[str, str], tuple[tuple[str, str], ...]]:
    found: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}
    for group in resource.get("group", ()):
        for element in group["element"]:
            targets = tuple(
                (group.get("target", ""), target["code"])
                for target in element.get("target", ())
                if "code" in target and target.get("equivalence") not in _UNRELATED
            )
            key = (group.get("source", ""), element["code"])
            found[key] = (*found.get(key, ()), *targets)
    return found
