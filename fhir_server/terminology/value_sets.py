"""Value sets compiled to dictionaries: a membership test is one or a few look-ups.

https://hl7.org/fhir/R4/valueset.html#compositions
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Final

from fhir_server.terminology.code_systems import CodeSystem, Concept

Json = Mapping[str, Any]

BY_PREFIX: Final = frozenset({"http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10"})
"""Systems whose hierarchy can be read off the code: F11.2 stands under F11. They need not be installed for `is-a`."""
_SHORTEST_CATEGORY: Final = 3


@dataclass(frozen=True, slots=True)
class Members:
    """The codes of one system in one value set; `open` says that others may belong to it which we do not know."""

    codes: Mapping[str, str | None] = field(default_factory=dict)
    prefixes: frozenset[str] = frozenset()
    open: bool = False
    without: "Members | None" = None

    def has(self, code: str) -> bool | None:
        """Whether the code belongs to the value set; None if this cannot be told."""
        answer = self._included(code)
        if answer is False or self.without is None:
            return answer
        excluded = self.without.has(code)
        return False if excluded else None if excluded is None else answer

    def _included(self, code: str) -> bool | None:
        if code in self.codes:
            return True
        if self.prefixes and any(code[:n] in self.prefixes for n in range(_SHORTEST_CATEGORY, len(code) + 1)):
            return True
        return None if self.open else False

    @property
    def empty(self) -> bool:
        """Whether nothing at all can belong to it."""
        return not (self.codes or self.prefixes or self.open)

    def listed(self) -> dict[str, str | None]:
        """The codes that can be listed, with displays."""
        return {code: display for code, display in self.codes.items() if self.has(code)}


@dataclass(frozen=True, slots=True)
class Compiler:
    """Turns ValueSet resources into `Members` by system; value sets that import others find them by URL."""

    value_sets: Mapping[str, Json]
    code_systems: Mapping[str, CodeSystem]

    def compile(self, url: str, above: tuple[str, ...] = ()) -> dict[str, Members] | None:
        """The members of a value set by system ("" holds what is unknown about any system), or None if not installed.

        A value set that imports itself contributes nothing at the place where the circle closes.
        """
        url = url.partition("|")[0]
        resource = self.value_sets.get(url)
        if resource is None:
            return None
        if url in above:
            return {}
        compose = resource.get("compose")
        if not compose:
            return _expansion(resource)
        path = (*above, url)
        included = self._all(compose.get("include", ()), path)
        excluded = self._all(compose.get("exclude", ()), path)
        return {system: _minus(members, excluded.get(system)) for system, members in included.items()}

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
        system = self.code_systems.get(part["system"])
        if "concept" in part:
            known = system.concepts if system else {}
            return Members({c["code"]: c.get("display") or _display(known.get(c["code"])) for c in part["concept"]})
        if "filter" in part:
            return reduce(_both, (_filtered(part["system"], system, one) for one in part["filter"]))
        return Members(_displays(system), open=system is None or not system.complete)


def _display(concept: Concept | None) -> str | None:
    return concept.display if concept else None


def _displays(system: CodeSystem | None) -> dict[str, str | None]:
    return {code: concept.display for code, concept in system.concepts.items()} if system else {}


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


# ---- filters: https://hl7.org/fhir/R4/valueset-filter-operator.html
def _is_a(system: CodeSystem, rule: Json) -> dict[str, str | None]:
    itself = {rule["value"]: system.concepts[rule["value"]].display} if rule["value"] in system.concepts else {}
    return itself | system.below(rule["value"])


def _descendant_of(system: CodeSystem, rule: Json) -> dict[str, str | None]:
    return system.below(rule["value"])


def _one_of(system: CodeSystem, rule: Json) -> dict[str, str | None]:
    wanted = set(rule["value"].split(",")) if rule["op"] == "in" else {rule["value"]}
    return {
        code: concept.display
        for code, concept in system.concepts.items()
        if wanted & ({code} if rule["property"] in ("concept", "code") else _texts(concept, rule["property"]))
    }


def _texts(concept: Concept, name: str) -> set[str]:
    return {str(value).lower() if isinstance(value, bool) else str(value) for value in concept.properties.get(name, ())}


_FILTERS: Final[Mapping[str, Callable[[CodeSystem, Json], dict[str, str | None]]]] = {
    "is-a": _is_a,
    "descendent-of": _descendant_of,
    "=": _one_of,
    "in": _one_of,
}


def _filtered(url: str, system: CodeSystem | None, rule: Json) -> Members:
    if url in BY_PREFIX and rule["op"] == "is-a":
        return Members(prefixes=frozenset({rule["value"]}))
    if system is None or rule["op"] not in _FILTERS:
        return Members(open=True)
    return Members(_FILTERS[rule["op"]](system, rule), open=not system.complete)


# ---- the algebra of members
def _minus(members: Members, excluded: Members | None) -> Members:
    if excluded is None:
        return members
    without = _either(members.without, excluded) if members.without else excluded
    return Members(members.codes, members.prefixes, members.open, without)


def _either(one: Members, other: Members) -> Members:
    """What belongs to one or the other. What either leaves out again is taken code by code, so it stays exact."""
    if one.without is None and other.without is None:
        return Members({**one.codes, **other.codes}, one.prefixes | other.prefixes, one.open or other.open)
    codes = {**one.listed(), **other.listed()}
    return Members(codes, _kept(one) | _kept(other), one.open or other.open)


def _kept(members: Members) -> frozenset[str]:
    return frozenset(prefix for prefix in members.prefixes if members.has(prefix))


def _both(one: Members, other: Members) -> Members:
    """What belongs to both; what only one side can tell of stays open."""
    codes = {code: display for code, display in one.listed().items() if other.has(code)}
    codes |= {code: display for code, display in other.listed().items() if one.has(code)}
    prefixes = frozenset({p for p in _kept(one) if other.has(p)} | {p for p in _kept(other) if one.has(p)})
    return Members(codes, prefixes, (one.open and not other.empty) or (other.open and not one.empty))


def _union(one: Mapping[str, Members], other: Mapping[str, Members]) -> dict[str, Members]:
    return {
        system: _either(one.get(system, Members()), other.get(system, Members())) for system in dict(one) | dict(other)
    }


def _intersection(one: Mapping[str, Members], other: Mapping[str, Members]) -> dict[str, Members]:
    anywhere_one, anywhere_other = one.get("", Members()), other.get("", Members())
    return {
        system: _both(one.get(system, anywhere_one), other.get(system, anywhere_other))
        for system in dict(one) | dict(other)
    }
