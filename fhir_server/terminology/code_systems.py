"""Code systems as dictionaries.  https://hl7.org/fhir/R4/codesystem.html"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

_ENDED = frozenset({"retired", "deprecated"})


@dataclass(frozen=True, slots=True)
class Concept:
    """One code: its display, the codes right above it, its properties by name, and what else its publisher says."""

    display: str | None
    parents: tuple[str, ...]
    properties: Mapping[str, tuple[Any, ...]]
    definition: str | None = None
    designations: tuple[Json, ...] = ()

    @property
    def active(self) -> bool:
        """Whether it may still be used."""
        return True not in self.properties.get("inactive", ()) and _ENDED.isdisjoint(
            one for one in self.properties.get("status", ()) if isinstance(one, str)
        )


@dataclass(frozen=True, slots=True)
class CodeSystem:
    """The codes of one system; `complete` says that a code which is not here does not exist."""

    concepts: Mapping[str, Concept]
    complete: bool
    version: str = ""
    name: str = ""

    def find(self, code: str) -> Concept | None:
        """The concept with this code."""
        return self.concepts.get(code)

    def below(self, code: str) -> dict[str, str | None]:
        """The codes under `code` at any depth, with their displays, in the order of the system; not `code` itself."""
        found = {code}
        for candidate, concept in self.concepts.items():  # parents stand before their children
            if not found.isdisjoint(concept.parents):
                found.add(candidate)
        return {one: concept.display for one, concept in self.concepts.items() if one in found and one != code}

    def above(self, code: str) -> list[str]:
        """The code and all it stands under."""
        codes = [code]
        for one in codes:  # grows while it is walked
            concept = self.concepts.get(one)
            codes += [parent for parent in concept.parents if parent not in codes] if concept else []
        return codes

    def is_under(self, code: str, above: str) -> bool:
        """Whether a code is the other one, or stands under it at any depth."""
        return above in self.above(code)


def index(resources: Iterable[Json]) -> dict[str, CodeSystem]:
    """Code systems by URL; several resources of one URL (fragments) are one system."""
    found: dict[str, CodeSystem] = {}
    for resource in resources:
        url = resource.get("url")
        if not isinstance(url, str) or resource.get("content") in ("not-present", "supplement"):
            continue
        known = found.get(url)
        own = compiled(resource)
        if known:
            own = CodeSystem({**known.concepts, **own.concepts}, known.complete or own.complete, own.version, own.name)
        found[url] = own
    return found


def compiled(resource: Json) -> CodeSystem:
    """One CodeSystem resource as a dictionary."""
    return CodeSystem(
        dict(_walk(resource.get("concept", ()), ())),
        resource.get("content") == "complete",
        resource.get("version", ""),
        resource.get("title") or resource.get("name", ""),
    )


def _walk(concepts: Sequence[Json], parents: tuple[str, ...]) -> Iterator[tuple[str, Concept]]:
    for concept in concepts:
        properties = _properties(concept)
        above = (*parents, *(code for code in properties.get("parent", ()) if isinstance(code, str)))
        more = concept.get("definition"), tuple(concept.get("designation", ()))
        yield concept["code"], Concept(concept.get("display"), above, properties, *more)
        yield from _walk(concept.get("concept", ()), (concept["code"],))


def _properties(concept: Json) -> dict[str, tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}
    for item in concept.get("property", ()):
        value = next((item[key] for key in item if key.startswith("value")), None)
        found[item["code"]] = (*found.get(item["code"], ()), value)
    return found
