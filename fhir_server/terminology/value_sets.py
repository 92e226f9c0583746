"""Value sets compiled to `Members` by system.  https://hl7.org/fhir/R4/valueset.html#compositions"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, Protocol

from fhir_server.terminology.code_systems import Concept
from fhir_server.terminology.filters import System, holds, known, rule
from fhir_server.terminology.large import LargeSystem
from fhir_server.terminology.members import Members, Part, both, either, minus

Json = Mapping[str, Any]

BY_PREFIX: Final = frozenset({"http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10"})
"""Systems whose hierarchy can be read off the code: F11.2 stands under F11. They need not be installed for `is-a`."""


class ByUrl(Protocol):
    """Value sets by canonical URL."""

    def get(self, url: str, /) -> Any:
        """The resource; None if there is none."""


class Systems(Protocol):
    """Code systems by URL, or by url|version."""

    def get(self, url: str, /) -> System | None:
        """The system; None if it is not here."""


@dataclass(frozen=True, slots=True)
class Compiler:
    """Turns ValueSet resources into `Members` by system; value sets that import others find them by URL."""

    value_sets: ByUrl
    code_systems: Systems

    def compile(self, url: str, above: tuple[str, ...] = ()) -> dict[str, Members] | None:
        """The members of a value set by system ("" holds what is unknown about any system), or None if not installed.

        A value set that imports itself contributes nothing at the place where the circle closes.
        """
        url = url.partition("|")[0]
        resource = self.value_sets.get(url)
        if resource is None:
            return None
        return {} if url in above else self.composed(resource, (*above, url))

    def composed(self, resource: Json, path: tuple[str, ...] = ()) -> dict[str, Members]:
        """The members of a ValueSet resource."""
        compose = resource.get("compose")
        if not compose:
            return _expansion(resource)
        included = self._all(compose.get("include", ()), path)
        excluded = self._all(compose.get("exclude", ()), path)
        return {system: minus(members, excluded.get(system)) for system, members in included.items()}

    def _all(self, parts: Sequence[Json], path: tuple[str, ...]) -> dict[str, Members]:
        found: dict[str, Members] = {}
        for part in parts:
            found = _union(found, self._part(part, path))
        return found

    def _part(self, part: Json, path: tuple[str, ...]) -> dict[str, Members]:
        """One include or exclude: what it says of a system, and what all the value sets it names have in common."""
        found = [{part["system"]: self._of_system(part)}] if "system" in part else []
        found += [self._imported(url, path) for url in part.get("valueSet", ())]
        return reduce(_intersection, found) if found else {}

    def _imported(self, url: str, path: tuple[str, ...]) -> dict[str, Members]:
        found = self.compile(url, path)
        return {"": Members(open=True)} if found is None else found

    def _of_system(self, part: Json) -> Members:
        system = self._system(part)
        if "concept" in part:
            return Members({c["code"]: c.get("display") or _display(system, c["code"]) for c in part["concept"]})
        if "filter" in part:
            return reduce(both, (_filtered(part["system"], system, one) for one in part["filter"]))
        if isinstance(system, LargeSystem):
            return Members(parts=(Part(system),), open=not system.complete)
        return Members(_displays(system), open=system is None or not system.complete)

    def _system(self, part: Json) -> System | None:
        """The version that an include names, else the one in force."""
        named = self.code_systems.get(f"{part['system']}|{part['version']}") if "version" in part else None
        return named or self.code_systems.get(part["system"])


def _display(system: System | None, code: str) -> str | None:
    concept: Concept | None = system.find(code) if system else None
    return concept.display if concept else None


def _displays(system: System | None) -> dict[str, str | None]:
    if system is None or isinstance(system, LargeSystem):
        return {}
    return {code: concept.display for code, concept in system.concepts.items()}


def _expansion(resource: Json) -> dict[str, Members]:
    """A value set that comes expanded only; an expansion that is not whole leaves its systems open."""
    expansion = resource.get("expansion", {})
    found: dict[str, dict[str, str | None]] = {}
    for item in _contains(expansion.get("contains", ())):
        found.setdefault(item.get("system", ""), {})[item["code"]] = item.get("display")
    whole = bool(expansion) and expansion.get("total", 0) <= sum(map(len, found.values()))
    return {system: Members(codes, open=not whole) for system, codes in found.items()} or {"": Members(open=True)}


def _contains(items: Any) -> Iterator[Json]:
    for item in items:
        if "code" in item and not item.get("abstract"):
            yield item
        yield from _contains(item.get("contains", ()))


def _filtered(url: str, system: System | None, given: Json) -> Members:
    one = rule(given)
    if url in BY_PREFIX and one.op == "is-a":
        return Members(prefixes=frozenset({one.value}))
    if system is None or not known(one):
        return Members(open=True)
    if isinstance(system, LargeSystem):
        return Members(parts=(Part(system, (one,)),), open=not system.complete)
    fitting = {code: c.display for code, c in system.concepts.items() if holds(system, code, c, one)}
    return Members(fitting, open=not system.complete)


def _union(one: Mapping[str, Members], other: Mapping[str, Members]) -> dict[str, Members]:
    return {
        system: either(one.get(system, Members()), other.get(system, Members())) for system in dict(one) | dict(other)
    }


def _intersection(one: Mapping[str, Members], other: Mapping[str, Members]) -> dict[str, Members]:
    anywhere_one, anywhere_other = one.get("", Members()), other.get("", Members())
    return {
        system: both(one.get(system, anywhere_one), other.get(system, anywhere_other))
        for system in dict(one) | dict(other)
    }
