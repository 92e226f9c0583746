"""Code systems as dictionaries.  https://hl7.org/fhir/R4/codesystem.html"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Concept:
    """One code: its display, the codes right above it, and its properties by name."""

    display: str | None
    parents: tuple[str, ...]
    properties: Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class CodeSystem:
    """The codes of one system; `complete` says that a code which is not here does not exist."""

    concepts: Mapping[str, Concept]
    complete: bool

    def below(self, code: str) -> dict[str, str | None]:
        """The codes under `code` at any depth, with their displays, in the order of the system; not `code` itself."""
        found = {code}
        for candidate, concept in self.concepts.items():  # parents stand before their children
            if not found.isdisjoint(concept.parents):
                found.add(candidate)
        return {one: concept.display for one, concept in self.concepts.items() if one in found and one != code}


def index(resources: Iterable[Json]) -> dict[str, CodeSystem]:
    """Code systems by URL; several resources of one URL (fragments) are one system."""
    concepts: dict[str, dict[str, Concept]] = {}
    complete: set[str] = set()
    for resource in resources:
        url = resource.get("url")
        if not isinstance(url, str) or resource.get("content") in ("not-present", "supplement"):
            continue
        concepts.setdefault(url, {}).update(_walk(resource.get("concept", ()), ()))
        if resource.get("content") == "complete":
            complete.add(url)
    return {url: CodeSystem(found, url in complete) for url, found in concepts.items()}


def _walk(concepts: Sequence[Json], parents: tuple[str, ...]) -> Iterator[tuple[str, Concept]]:
    for concept in concepts:
        properties = _properties(concept)
        above = (*parents, *(code for code in properties.get("parent", ()) if isinstance(code, str)))
        yield concept["code"], Concept(concept.get("display"), above, properties)
        yield from _walk(concept.get("concept", ()), (concept["code"],))


def _properties(concept: Json) -> dict[str, tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}
    for item in concept.get("property", ()):
        value = next((item[key] for key in item if key.startswith("value")), None)
        found[item["code"]] = (*found.get(item["code"], ()), value)
    return found
