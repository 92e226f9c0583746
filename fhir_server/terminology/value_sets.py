"""Value sets compiled to `Members` by system.  https://hl7.org/fhir/R4/valueset.html#compositions"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, Final, NamedTuple, Protocol

from fhir_server.fhir.errors import TooCostly, Unprocessable
from fhir_server.terminology.filters import System, fitting, known, rule
from fhir_server.terminology.large import LargeSystem
from fhir_server.terminology.members import Members, Part, both, either, in_use, minus

Json = Mapping[str, Any]

BY_PREFIX: Final = frozenset({"http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10"})
"""Systems whose hierarchy can be read off the code: F11.2 stands under F11. They need not be installed for `is-a`."""

_ECHOED = 64
_MOST_PARTS, _DEEPEST = 1_000, 30
_MOST_LOOKED_AT = 500_000  # concepts, by all filters together
_SUPPLEMENT: Final = "http://hl7.org/fhir/StructureDefinition/valueset-supplement"


class ByUrl(Protocol):
    """Value sets by canonical URL."""

    def get(self, url: str, /) -> Any:
        """The resource; None if there is none."""


class Systems(Protocol):
    """Code systems by URL, or by url|version."""

    def get(self, url: str, /) -> System | None:
        """The system; None if it is not here."""


class Versions(NamedTuple):
    """Versions of code systems by URL: for includes that name none, for all, and such as must not differ."""

    default: Mapping[str, str] = {}
    forced: Mapping[str, str] = {}
    checked: Mapping[str, str] = {}

    def of(self, part: Json) -> str:
        """The version that an include means; "" is the one in force. Unprocessable if it must not be that one."""
        url = part["system"]
        version = self.forced.get(url) or part.get("version") or self.default.get(url) or self.checked.get(url, "")
        if url in self.checked and version != self.checked[url]:
            raise Unprocessable(
                f"The value set takes codes from version {version[:_ECHOED]} of {url[:_ECHOED]}, which is not the one "
                "that check-system-version allows."
            )
        return version


IN_FORCE: Final = Versions()


@dataclass(frozen=True, slots=True)
class Compiler:
    """Turns ValueSet resources into `Members` by system; value sets that import others find them by URL.

    For whoever asks by an operation it is `exact`: what cannot be done as the value set says is refused
    (Unprocessable). Otherwise it is held to as far as possible, and what is beyond that stays open. Of what clients
    wrote (`guarded`) no more is done than it should cost. `known` are the imports of the value set that is compiled.
    """

    value_sets: ByUrl
    code_systems: Systems
    exact: bool = False
    versions: Versions = IN_FORCE
    guarded: bool = False
    contained: Mapping[str, Json] = field(default_factory=dict)
    known: dict[str, dict[str, Members]] = field(default_factory=dict)
    left: list[int] = field(default_factory=lambda: [_MOST_LOOKED_AT])

    def compile(self, url: str, above: tuple[str, ...] = ()) -> dict[str, Members] | None:
        """The members of a value set by system ("" holds what is unknown about any system), or None if not installed.

        A value set that imports itself contributes nothing at the place where the circle closes.
        """
        if not above:
            return replace(self, known={})._compiled(url, ())
        return self._compiled(url, above)

    def _compiled(self, url: str, above: tuple[str, ...]) -> dict[str, Members] | None:
        if url in self.known:
            return self.known[url]
        resource = self.contained.get(url) or self.value_sets.get(url)
        if resource is None:
            return None
        if url in above:
            self._refuse(f"The value set {url[:_ECHOED]} imports itself.")
            return {}
        found = self.composed(resource, (*above, url))
        if url not in self.contained:
            self.known[url] = found
        return found

    def composed(self, resource: Json, path: tuple[str, ...] = ()) -> dict[str, Members]:
        """The members of a ValueSet resource."""
        compose = resource.get("compose")
        for one in resource.get("extension", ()):
            if one.get("url") == _SUPPLEMENT:
                self._refuse("The value set needs a supplement of a code system. Supplements are not applied here.")
        if not compose:
            return _expansion(resource)
        inside = {
            f"#{one.get('id')}": one for one in resource.get("contained", ()) if one["resourceType"] == "ValueSet"
        }
        within = replace(self, contained=inside or self.contained)
        included = within.all_of(compose.get("include", ()), path)
        excluded = within.all_of(compose.get("exclude", ()), path)
        found = {system: minus(one, _left_out(excluded, system)) for system, one in included.items()}
        return {system: in_use(one) for system, one in found.items()} if compose.get("inactive") is False else found

    def _refuse(self, text: str) -> None:
        if self.exact:
            raise Unprocessable(text)

    def all_of(self, parts: Sequence[Json], path: tuple[str, ...]) -> dict[str, Members]:
        """What includes or excludes hold together; TooCostly if there are too many."""
        if self.guarded and (len(parts) > _MOST_PARTS or len(path) > _DEEPEST):
            raise TooCostly(f"At most {_MOST_PARTS} includes, and imports {_DEEPEST} levels deep, are taken.")
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
        if found is None:
            self._refuse(f"The value set {url[:_ECHOED]}, which it imports, is not here.")
        return {"": Members(open=True)} if found is None else found

    def _of_system(self, part: Json) -> Members:
        system, sure = self._system(part)
        found = self._named(part, system, sure=sure) if "concept" in part else self._meant(part, system)
        return replace(found, source=system) if system else found

    def _meant(self, part: Json, system: System | None) -> Members:
        if self.guarded and system is not None and not isinstance(system, LargeSystem):
            self.left[0] -= len(system.concepts) * max(1, len(part.get("filter", ())))
            if self.left[0] < 0:
                raise TooCostly(f"Its filters would look at more than {_MOST_LOOKED_AT} concepts. Ask for less.")
        if "filter" in part:
            return reduce(both, (self._filtered(part["system"], system, one) for one in part["filter"]))
        if isinstance(system, LargeSystem):
            return Members(parts=(Part(system),), open=not system.complete)
        return Members(_displays(system), open=system is None or not system.complete)

    def _system(self, part: Json) -> tuple[System | None, bool]:
        """The version that an include means, else the one in force; and whether it is the one that is meant."""
        url, version = part["system"], self.versions.of(part)
        if not version:
            return self.code_systems.get(url), True
        found = self.code_systems.get(f"{url}|{version}")
        if found is None and "concept" not in part and self.code_systems.get(url):
            self._refuse(f"Version {version[:_ECHOED]} of the code system {url[:_ECHOED]} is not here.")
        return found or self.code_systems.get(url), found is not None

    def _named(self, part: Json, system: System | None, *, sure: bool) -> Members:
        """Codes one by one; such as the system, where all of it is here, does not have are none."""
        whole = sure and system is not None and not isinstance(system, LargeSystem) and system.complete
        codes: dict[str, str | None] = {}
        told: dict[str, Sequence[Any]] = {}
        for one in part["concept"]:
            concept = system.find(one["code"]) if system else None
            if concept or not whole:
                codes[one["code"]] = one.get("display") or (concept.display if concept else None)
                if "designation" in one:
                    told[one["code"]] = one["designation"]
        return Members(codes, designations=told)

    def _filtered(self, url: str, system: System | None, given: Json) -> Members:
        one = rule(given)
        if url in BY_PREFIX and one.op == "is-a":
            return Members(prefixes=frozenset({one.value}))
        if system is None or not known(one):
            if system is not None:
                self._refuse(f"The filter {one.property[:_ECHOED]} {one.op} cannot be applied here.")
            return Members(open=True)
        if isinstance(system, LargeSystem):
            return Members(parts=(Part(system, (one,)),), open=not system.complete)
        return Members({code: system.concepts[code].display for code in fitting(system, one)}, open=not system.complete)


def _left_out(excluded: Mapping[str, Members], system: str) -> Members | None:
    """What is excluded of a system; by a value set that is not here perhaps any code of it."""
    found = [excluded[key] for key in dict.fromkeys((system, "")) if key in excluded]
    return reduce(either, found) if found else None


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
