"""Where an extension may stand, by its definition.  https://hl7.org/fhir/R4/defining-extensions.html#context"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.memory import remembered
from fhir_server.validation import invariant
from fhir_server.validation.findings import Findings
from fhir_server.validation.matching import identity
from fhir_server.validation.profile_tree import BASE

Steps = tuple[tuple[str, int], ...]
"""The way from the resource to what an extension stands in: member name and index, -1 where nothing repeats."""

_ANYWHERE: Final = frozenset({"Element", "Resource"})
_EXTENDING: Final = frozenset({"extension", "modifierExtension"})
_INNER: Final = frozenset({*_EXTENDING, "contained", "resource"})
_SLICE: Final = re.compile(r":[^.]*")
_SHOWN: Final = 4


class _Place(NamedTuple):
    """Where an extension stands: in which resource, what element, the way there, the extension it is part of."""

    resource: Any
    element: Any
    type: str
    names: tuple[str, ...]
    holders: tuple[str, ...] = ()


class _Rules(NamedTuple):
    """What an extension's definition says beside places by name: paths and conditions, compiled."""

    paths: tuple[invariant.Path | None, ...]
    conditions: tuple[tuple[str, invariant.Compiled], ...]


class Contexts:
    """The contexts of the installed extensions."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._allowed = remembered(4096)(self._asked)
        self._compiled: dict[str, _Rules] = {}

    def missed(self, url: str, type_: str, steps: Steps, findings: Findings, extension: Mapping[str, Any]) -> str:
        """What is wrong with where an extension stands, in words; "" if it is right there.

        An expression that cannot be asked here is taken to hold.
        """
        rules = self._rules(url)
        names = tuple(name.removeprefix("_") for name, _ in steps)
        if not (rules.paths or rules.conditions) and _INNER.isdisjoint(names):
            return _elsewhere(url, self._allowed(url, type_, names, ()))
        place = _place(type_, steps, findings.root)
        wanted = self._allowed(url, place.type, place.names, place.holders)
        if wanted and not any(_leads_to(path, place, findings) for path in rules.paths):
            return _elsewhere(url, wanted)
        return next((text for text in _unmet(url, rules, place, extension)), "")

    def _rules(self, url: str) -> _Rules:
        if url not in self._compiled:
            definition = self._definitions.resource(url) or {}
            paths = [one for one in definition.get("context", ()) if one.get("type") == "fhirpath"]
            self._compiled[url] = _Rules(
                tuple(invariant.path(str(one.get("expression", ""))) for one in paths),
                tuple((str(text), invariant.compiled(str(text))) for text in definition.get("contextInvariant", ())),
            )
        return self._compiled[url]

    def _asked(self, url: str, type_: str, names: tuple[str, ...], holders: tuple[str, ...]) -> str:
        contexts = (self._definitions.resource(url) or {}).get("context", ())
        if not contexts:
            return ""
        here = frozenset(self._places(type_, names)) if not holders else frozenset({"Extension", *holders})
        wanted = [str(one.get("expression", "")) for one in contexts]
        if any(_is_here(one, here) for one in contexts):
            return ""
        return " or ".join(wanted[:_SHOWN])

    def _places(self, type_: str, names: tuple[str, ...]) -> Iterator[str]:
        """Every name by which a definition may mean this place: paths from each type on the way, and data types."""
        paths, structure = [type_], type_
        for name in names:
            if structure not in self._definitions.elements:
                break
            found = self._definitions.elements.members(structure).get(name)
            if found is None:
                return
            element, structure = found
            starts = [*paths, *self._kinds(element.path.rpartition(".")[0])]
            paths = [f"{start}.{called}" for start in starts for called in {name, element.name}]
            paths += [path.removesuffix("[x]") for path in paths]
        yield from paths
        yield from self._kinds(structure)

    def _kinds(self, structure: str) -> Iterator[str]:
        """A type and what it specializes."""
        while structure:
            yield structure
            known = structure in self._definitions.elements
            structure = self._definitions.elements.base(structure) if known else ""


def _is_here(context: Mapping[str, Any], here: frozenset[str]) -> bool:
    """Whether a context by name is one of these; one within a profile is judged by its path, whatever its slices."""
    kind, expression = context.get("type"), str(context.get("expression", ""))
    if kind == "fhirpath":
        return False
    if expression in _ANYWHERE or expression in here:
        return True
    return kind != "extension" and _SLICE.sub("", expression.removeprefix(BASE).rpartition("#")[2]) in here


def _elsewhere(url: str, wanted: str) -> str:
    return wanted and f"{url[:128]} is an extension of {wanted}. Move it there, or leave it out."


def _leads_to(path: invariant.Path | None, place: _Place, findings: Findings) -> bool:
    """Whether a path of the resource leads to the element; it is followed once, however many extensions there are."""
    if path is None:
        return True
    key = (id(path), id(place.resource))
    if key not in findings.reached:
        found = path(place.resource)
        findings.reached[key] = None if found is None else frozenset(map(identity, found))
    among = findings.reached[key]
    return among is None or identity(place.element) in among


def _unmet(url: str, rules: _Rules, place: _Place, extension: Mapping[str, Any]) -> Iterator[str]:
    surroundings = {"extension": extension, "resource": place.resource}
    for text, one in rules.conditions:
        if one.rule is not None and one.holds(place.element, surroundings) is False:
            yield f"{url[:128]} may stand only where this holds: {text}."


def _place(type_: str, steps: Steps, root: Any) -> _Place:
    """Where the way leads: within the innermost resource, or within an extension."""
    names: list[str] = []
    resource = value = root
    holders: tuple[str, ...] = ()
    for name, index in steps:
        value = _following(value, name.removeprefix("_"), index)
        names.append(name.removeprefix("_"))
        if isinstance(value, Mapping) and isinstance(value.get("resourceType"), str):
            type_, resource, names, holders = value["resourceType"], value, [], ()
        elif name in _EXTENDING and isinstance(value, Mapping):
            holders = _called(str(value.get("url", "")), holders)
        else:
            holders = ()
    return _Place(resource, value, type_, tuple(names), holders)


def _called(url: str, outer: tuple[str, ...]) -> tuple[str, ...]:
    """The names of an extension: its URL, and as a part of others theirs before it."""
    return (url, *(f"{one}#{url}" for one in outer))


def _following(value: Any, name: str, index: int) -> Any:
    value = value.get(name) if isinstance(value, Mapping) else None
    return value[index] if isinstance(value, list) and 0 <= index < len(value) else value
