"""What code systems, value sets and concept maps say of a code.

Installed are the definitions of packages and the systems in the tables; they alone decide about bindings. What clients
stored as resources is asked where it is named by its URL and nothing installed has that URL.
https://hl7.org/fhir/R4/terminology-module.html
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.errors import NotFound
from fhir_server.terminology import code_systems, concept_maps, implicit
from fhir_server.terminology.code_systems import CodeSystem, Concept
from fhir_server.terminology.filters import System
from fhir_server.terminology.large import MOST_LISTED, LargeSystem
from fhir_server.terminology.members import Members, Part
from fhir_server.terminology.value_sets import IN_FORCE, Compiler, Versions

Json = Mapping[str, Any]
Stored = Callable[[str, str], Json | None]  # (type, canonical) -> the resource that clients stored under it


CODE, PREFIX, BELOW = "code", "prefix", "below"
_R4 = "4.0.1"


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
        self._elements = definitions.elements
        self._systems: dict[str, System] = {**code_systems.index(definitions.all("CodeSystem")), **(large or {})}
        self._insensitive = frozenset(
            url for url, one in self._systems.items() if isinstance(one, CodeSystem) and one.folded is not None
        )
        self._resources = _by_canonical(definitions.all("ValueSet"))
        self._whole = _whole_systems(definitions.all("CodeSystem"), self._resources)
        compiler = Compiler(_OrAnyVersion({**self._whole, **self._resources}), self._systems)
        self._value_sets = {url: compiler.compile(url) or {} for url in (*self._resources, *self._whole)}
        self._maps = _by_canonical(definitions.all("ConceptMap"))

    # ---- installed only: what bindings and the server's own rules ask

    def contains(self, value_set_url: str, system: str | None, code: str) -> bool | None:
        """Whether the value set contains the code; None if this cannot be told from what is installed.

        Without a system (an element of type `code`) any system of the value set will do.
        """
        members = self._installed(value_set_url)
        if system and system in self._insensitive:
            code = self._systems[system].proper(code)
        return None if members is None else contains(members, system, code)

    def _installed(self, canonical: str) -> dict[str, Members] | None:
        """The members of an installed value set, of the version that is named if it is there."""
        found = self._value_sets.get(canonical)
        return self._value_sets.get(canonical.partition("|")[0]) if found is None else found

    def lacks(self, system: str | None, code: str) -> bool:
        """Whether a system is installed as a whole and has no such code, so that the code is a slip."""
        found = self._systems.get(system or "")
        return found is not None and found.complete and found.find(code) is None

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
        if (found := _or_any_version(self._maps, map_url)) is None:
            raise NotFound(f"No concept map {map_url[:64]} is installed.")
        matches = concept_maps.translations(found, concept_maps.Asked(system, code))
        return [(one.system, one.code) for one in matches if one.code and one.related]

    def expand(self, url: str) -> list[tuple[str, str, str | None]]:
        """The (system, code, display) of every code that is named; NotFound if the value set is not installed.

        Of a system that is not installed, and of a filter by prefix, only the codes that are named can be listed.
        """
        if (members := self._installed(url)) is None:
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
        found = self._systems.get(_canonical(url, version))
        if found is None and version and (known := self._systems.get(url)) and known.version == version:
            return known
        if found is None and (resource := self.stored("CodeSystem", _canonical(url, version))):
            return code_systems.compiled(resource) if code_systems.is_system(resource) else None
        return found

    def value_set(self, canonical: str) -> Json | None:
        """A ValueSet resource by its canonical URL."""
        found = self._resources.get(canonical) or self._whole.get(canonical) or self._of_r4(canonical)
        return found or implicit.value_set(canonical) or self.stored("ValueSet", canonical)

    def _of_r4(self, canonical: str) -> Json | None:
        """A value set that R4 itself binds a required element to: its codes, without displays."""
        url, _, version = canonical.partition("|")
        codes = self._elements.codes(url) if version in ("", _R4) else {}
        return implicit.of_codes(url, _R4, codes) if codes else None

    def concept_maps(self, canonical: str = "") -> list[Json]:
        """The ConceptMap with this canonical URL, or all that are installed."""
        if not canonical:
            return [one for key, one in self._maps.items() if key == one["url"]]
        found = self.concept_map(canonical)
        return [found] if found else []

    def concept_map(self, canonical: str) -> Json | None:
        """The ConceptMap with this canonical URL; None if it is not here."""
        return self._maps.get(canonical) or self.stored("ConceptMap", canonical)

    def composed(self, resource: Json, versions: Versions | None = None, *, exact: bool = False) -> dict[str, Members]:
        """The members of a ValueSet resource by system, stored value sets and code systems included.

        Unprocessable if this has to be `exact` and something cannot be done as the value set says.
        """
        url = resource.get("url", "")
        if not exact and not versions:
            for key in (url, _canonical(url, resource.get("version", ""))):
                if self._resources.get(key) is resource:
                    return self._value_sets[key]
        compiler = Compiler(_ByUrl(self), _Systems(self), exact, versions or IN_FORCE, guarded=True)
        return compiler.composed(resource, (url,) if url else ())

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
        self._known: dict[str, System | None] = {}

    def get(self, key: str, /) -> System | None:
        url, _, version = key.partition("|")
        if key not in self._known:
            self._known[key] = self._terminology.system(url, version)
        return self._known[key]


class _OrAnyVersion:
    """Installed value sets for the compiler: where the version that is named is not there, another has to do."""

    def __init__(self, resources: Mapping[str, Json]) -> None:
        self._resources = resources

    def get(self, url: str, /) -> Json | None:
        return _or_any_version(self._resources, url)


def _or_any_version(resources: Mapping[str, Json], canonical: str) -> Json | None:
    return resources.get(canonical) or resources.get(canonical.partition("|")[0])


def _by_canonical(resources: Iterable[Json]) -> dict[str, Json]:
    """Resources by URL, the last one of each, and by url|version."""
    found: dict[str, Json] = {}
    for one in resources:
        if "url" in one:
            found[one["url"]] = one
            if "version" in one:
                found[f"{one['url']}|{one['version']}"] = one
    return found


def _whole_systems(systems: Iterable[Json], value_sets: Mapping[str, Json]) -> dict[str, Json]:
    """The value sets of all codes of a system, which systems name and nobody wrote down."""
    named = ((one.get("valueSet", ""), one) for one in systems if code_systems.is_system(one))
    return {
        url: implicit.of_all(url, one["url"]) for url, one in named if url and url not in value_sets and "url" in one
    }


def contains(members: Mapping[str, Members], system: str | None, code: str) -> bool | None:
    """Whether these members contain a code; None if it cannot be told. Without a system any will do."""
    if system:
        answer = members[system].has(code) if system in members else False
        return None if answer is False and "" in members else answer  # "" is what nobody here knows
    answers = {one.has(code) for one in members.values()}
    return True if True in answers else None if None in answers else False


def _canonical(url: str, version: str) -> str:
    return f"{url}|{version}" if version else url
