"""What code systems, value sets and concept maps say of a code.

Installed are the definitions of packages and the systems in the tables; they alone decide about bindings. What clients
stored as resources is asked where it is named by its URL and nothing installed has that URL.
https://hl7.org/fhir/R4/terminology-module.html
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.errors import NotFound
from fhir_server.terminology import code_systems, concept_maps, implicit
from fhir_server.terminology.code_systems import Concept
from fhir_server.terminology.filters import System
from fhir_server.terminology.large import MOST_LISTED, LargeSystem
from fhir_server.terminology.members import Members, Part
from fhir_server.terminology.value_sets import Compiler

Json = Mapping[str, Any]
Stored = Callable[[str, str], Json | None]  # (type, canonical) -> the resource that clients stored under it


CODE, PREFIX, BELOW = "code", "prefix", "below"


class Among(NamedTuple):
    """Some of a value set: a code, all codes that begin so, or all that stand under a code at a place of the tables."""

    system: str
    code: str
    kind: str = CODE
    place: tuple[int, int] = (0, 0)


def nothing_stored(_type: str, _canonical: str) -> Json | None:
    """For a terminology without a server around it."""
    return None


class Terminology:
    """Answers from what is installed, compiled once; `stored` finds what clients stored."""

    def __init__(self, definitions: Definitions, large: Mapping[str, LargeSystem] | None = None) -> None:
        self.stored: Stored = nothing_stored
        self._systems: dict[str, System] = {**code_systems.index(definitions.all("CodeSystem")), **(large or {})}
        self._resources = {one["url"]: one for one in definitions.all("ValueSet") if "url" in one}
        compiler = Compiler(self._resources, self._systems)
        self._value_sets = {url: compiler.compile(url) or {} for url in self._resources}
        self._maps = {one["url"]: one for one in definitions.all("ConceptMap") if "url" in one}

    # ---- installed only: what bindings and the server's own rules ask

    def contains(self, value_set_url: str, system: str | None, code: str) -> bool | None:
        """Whether the value set contains the code; None if this cannot be told from what is installed.

        Without a system (an element of type `code`) any system of the value set will do.
        """
        members = self._value_sets.get(value_set_url.partition("|")[0])
        return None if members is None else contains(members, system, code)

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
        if (found := self._maps.get(map_url.partition("|")[0])) is None:
            raise NotFound(f"No concept map {map_url[:64]} is installed.")
        matches = concept_maps.translations(found, system, code)
        return [(one.system, one.code) for one in matches if one.code and one.related]

    def expand(self, url: str) -> list[tuple[str, str, str | None]]:
        """The (system, code, display) of every code that is named; NotFound if the value set is not installed.

        Of a system that is not installed, and of a filter by prefix, only the codes that are named can be listed.
        """
        if (members := self._value_sets.get(url.partition("|")[0])) is None:
            raise NotFound(f"No value set {url[:64]} is installed.")
        return [
            (system, code, display or self.display(system, code))
            for system, one in members.items()
            for code, display in one.listed().items()
        ]

    def _concept(self, system: str, code: str) -> Concept | None:
        found = self._systems.get(system)
        return found.find(code) if found else None

    # ---- what is stored as well: what searches and operations ask

    def system(self, url: str, version: str = "") -> System | None:
        """A code system by URL and version; None if it is neither installed nor stored."""
        found = self._systems.get(f"{url}|{version}") if version else self._systems.get(url)
        if found is None and version and (known := self._systems.get(url)) and known.version == version:
            return known
        if found is None and (resource := self.stored("CodeSystem", _canonical(url, version))):
            return code_systems.compiled(resource)
        return found

    def value_set(self, canonical: str) -> Json | None:
        """A ValueSet resource by its canonical URL."""
        url, _, version = canonical.partition("|")
        found = self._resources.get(url)
        if found and version in ("", found.get("version", "")):
            return found
        return implicit.value_set(url) or self.stored("ValueSet", canonical)

    def concept_maps(self, canonical: str = "") -> list[Json]:
        """The ConceptMap with this canonical URL, or all that are installed."""
        if not canonical:
            return list(self._maps.values())
        found = self._maps.get(canonical.partition("|")[0]) or self.stored("ConceptMap", canonical)
        return [found] if found else []

    def composed(self, resource: Json) -> dict[str, Members]:
        """The members of a ValueSet resource by system, stored value sets and code systems included."""
        url = resource.get("url", "")
        if self._resources.get(url) is resource:
            return self._value_sets[url]
        return Compiler(_ByUrl(self), _Systems(self)).composed(resource, (url,) if url else ())

    def members(self, canonical: str) -> dict[str, Members] | None:
        """The members of a value set by system; None if there is no such value set."""
        resource = self.value_set(canonical)
        return None if resource is None else self.composed(resource)

    def enumerated(self, url: str) -> list[Among] | None:
        """All of a value set: codes, beginnings of codes, what stands under a concept; None if it is not known.

        Not known is a value set that is not here, or takes codes from a system that is not, or leaves codes out of
        those that begin alike. Of a large system no more than MOST_LISTED codes are told one by one.
        """
        members = self.members(url)
        if members is None or any(one.open or (one.prefixes and one.without) for one in members.values()):
            return None
        found: list[Among] = []
        for system, one in members.items():
            found += [Among(system, code) for code in one.listed()]
            found += [Among(system, start, PREFIX) for start in sorted(one.prefixes)]
            for part in one.bare_parts():
                found += _of_part(system, part)
        return found

    def under(self, system: str, code: str) -> tuple[int, int] | None:
        """Where the tables have a code, so that a statement finds what stands under it; None if it is not in them."""
        found = self.system(system)
        return found.place(code) if isinstance(found, LargeSystem) else None

    def below(self, system: str, code: str) -> list[str] | None:
        """The code and all codes under it (of a large system MOST_LISTED); None if the system is not here."""
        found = self.system(system)
        return [code, *found.below(code)] if found else None

    def above(self, system: str, code: str) -> list[str] | None:
        """The code and all codes it stands under; None if the system is not here."""
        found = self.system(system)
        return found.above(code) if found else None


def _of_part(system: str, part: Part) -> list[Among]:
    place = part.system.place(part.top) if part.top is not None else None
    if place is not None and part.top is not None:
        return [Among(system, part.top, BELOW, place)]
    return [Among(system, code) for code, _ in part.walk(limit=MOST_LISTED)]


class _ByUrl:
    """Value sets for the compiler, those that clients stored included."""

    def __init__(self, terminology: Terminology) -> None:
        self._terminology = terminology

    def get(self, url: str, /) -> Json | None:
        return self._terminology.value_set(url)


class _Systems:
    """Code systems for the compiler, those that clients stored included."""

    def __init__(self, terminology: Terminology) -> None:
        self._terminology = terminology

    def get(self, key: str, /) -> System | None:
        url, _, version = key.partition("|")
        return self._terminology.system(url, version)


def contains(members: Mapping[str, Members], system: str | None, code: str) -> bool | None:
    """Whether these members contain a code; None if it cannot be told. Without a system any will do."""
    if system:
        answer = members[system].has(code) if system in members else False
        return None if answer is False and "" in members else answer  # "" is what nobody here knows
    answers = {one.has(code) for one in members.values()}
    return True if True in answers else None if None in answers else False


def _canonical(url: str, version: str) -> str:
    return f"{url}|{version}" if version else url
