"""Mutants of published examples: each breaks one constraint that the published snapshot of its profile states.

What is to be found is read from the snapshots, not from the validator: https://hl7.org/fhir/R4/elementdefinition.html
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.validation.us_core_breakers import BREAKERS

Json = dict[str, Any]
Steps = tuple[str | int, ...]
Edit = Callable[[Any], None]

_INDEX = re.compile(r"\[\d+\]")
_CHOICES: Json = {
    "boolean": True,
    "integer": 1,
    "string": "x",
    "dateTime": "2020-01-01",
    "Quantity": {"value": 1},
    "CodeableConcept": {"text": "x"},
}


@dataclass(frozen=True)
class Mutant:
    """One change to one example: its kind, the example, the element that an issue must name, and the change."""

    kind: str
    example: str
    path: str
    steps: Steps
    edit: Edit

    def applied(self, resource: Json) -> Json:
        """The mutant itself; the example stays as it is."""
        made: Json = copy.deepcopy(resource)
        parent: Any = made
        for step in self.steps:
            parent = parent[step]
        self.edit(parent)
        return made

    def named_by(self, code: str, expression: str) -> bool:
        """Whether an issue's place is the element, a part of it, or one form of a choice.

        An element that base FHIR asks for beside another, such as the system of a telecom, is named by its parent.
        """
        where = _INDEX.sub("", expression)
        return where.startswith(self.path) or (code == "invariant" and where == self.path.rpartition(".")[0])


def mutants(name: str, resource: Json, snapshot: list[Json], known: Callable[[str, Any], bool]) -> Iterator[Mutant]:
    """Every mutant of an example under a profile; `known` tells whether a value set can judge."""
    for element in snapshot:
        path = str(element["path"])
        if path.count(".") < 1 or path.startswith(("Extension", f"{resource['resourceType']}.text")):
            continue
        makers = _SLICED if ":" in element["id"] else _PLAIN
        for steps, parent in _parents(resource, path):
            for make in makers:
                for kind, at, edit in make(element, path.rpartition(".")[2], parent, known):
                    yield Mutant(kind, name, at or path.removesuffix("[x]"), steps, edit)


def _parents(resource: Json, path: str) -> Iterator[tuple[Steps, Json]]:
    """The objects that hold the element, with the way to each."""
    found: list[tuple[Steps, Any]] = [((), resource)]
    for name in path.split(".")[1:-1]:
        following: list[tuple[Steps, Any]] = []
        for steps, value in found:
            for key in _keys(value, name):
                inner = value[key]
                many = enumerate(inner) if isinstance(inner, list) else ()
                rows = [((*steps, key, n), one) for n, one in many] or [((*steps, key), inner)]
                following += [row for row in rows if isinstance(row[1], dict)]
        found = following
    yield from found


def _keys(value: Mapping[str, Any], name: str) -> list[str]:
    """The members of an object that an element name means; several forms for a choice."""
    stem = name.removesuffix("[x]")
    if stem == name:
        return [name] if name in value else []
    return [key for key in value if key.startswith(stem) and key[len(stem) : len(stem) + 1].isupper()]


Made = Iterator[tuple[str, str, Edit]]
Known = Callable[[str, Any], bool]


def _with(name: str, value: Any, instead_of: Sequence[str] = ()) -> Edit:
    def edit(one: Json) -> None:
        for key in instead_of:
            one.pop(key)
        one[name] = copy.deepcopy(value)

    return edit


def _without(keys: Sequence[str]) -> Edit:
    def edit(one: Json) -> None:
        for key in keys:
            one.pop(key)
        if not one:
            one["id"] = "x"  # an empty object would be another fault

    return edit


def _removed(element: Json, name: str, parent: Json, _: Known) -> Made:
    keys = _keys(parent, name)
    if element["min"] >= 1 and keys and not any(f"_{key}" in parent for key in keys):
        yield "required element left out", "", _without(keys)


def _repeated(element: Json, name: str, parent: Json, _: Known) -> Made:
    if element["max"] == "1" and name in parent:
        value = parent[name]
        twice = [*value, *value] if isinstance(value, list) else [value, value]
        yield "too many", "", _with(name, twice)
    if element["max"] == "0" and name not in parent and not name.endswith("[x]"):
        yield "too many", "", _with(name, "x")


def _retyped(element: Json, name: str, parent: Json, _: Known) -> Made:
    for key in _keys(parent, name)[:1]:
        wrong: Any = 7 if isinstance(parent[key], dict | list) else {"text": "x"}
        yield "wrong JSON type", "", _with(key, wrong)
    if name.endswith("[x]") and (keys := _keys(parent, name)):
        kinds = {kind["code"] for kind in element.get("type", ())}
        stem = name.removesuffix("[x]")
        for kind in sorted(_CHOICES.keys() - kinds)[:2]:
            new = stem + kind[0].upper() + kind[1:]

            yield "wrong form of a choice", "", _with(new, _CHOICES[kind], keys)


def _recoded(element: Json, name: str, parent: Json, known: Known) -> Made:
    binding = element.get("binding", {})
    for key in _keys(parent, name):
        if binding.get("strength") == "required" and known(binding.get("valueSet", ""), parent[key]):
            yield "code outside a required binding", "", _with(key, _miscoded(parent[key]))


def _miscoded(value: Any) -> Any:
    if isinstance(value, str):
        return "no-such-code"
    if isinstance(value, list):
        return [_miscoded(one) for one in value]
    if "coding" in value:
        return {**value, "coding": [{**one, "code": "no-such-code"} for one in value["coding"]]}
    return {**value, "code": "no-such-code"}


def _unfixed(element: Json, name: str, parent: Json, _: Known) -> Made:
    wanted = next((value for key, value in element.items() if key.startswith(("fixed", "pattern"))), None)
    for key in _keys(parent, name) if wanted is not None else ():
        yield "another value than the fixed one", "", _with(key, _other(parent[key]))


def _other(value: Any) -> Any:
    if isinstance(value, list):
        return [_other(one) for one in value]
    if isinstance(value, dict):
        return {key: _other(one) for key, one in value.items()}
    return not value if isinstance(value, bool) else value + 1 if isinstance(value, int | float) else f"x-{value}"


def _retargeted(element: Json, name: str, parent: Json, _: Known) -> Made:
    targets = [one for kind in element.get("type", ()) for one in kind.get("targetProfile", ())]
    if not targets or any(one.endswith(("/Resource", "/Basic")) for one in targets):
        return
    for key in _keys(parent, name):
        value, wrong = parent[key], {"reference": "Basic/1"}
        if isinstance(value, list) or (isinstance(value, dict) and "reference" in value):
            yield "reference to a wrong type", "", _with(key, [wrong, *value[1:]] if isinstance(value, list) else wrong)


def _unsliced(element: Json, name: str, parent: Json, _: Known) -> Made:
    """All items of a required slice, known by a pattern of their own, left out."""
    wanted = element.get("patternCodeableConcept")
    if not wanted or element["min"] < 1 or not isinstance(parent.get(name), list) or element["id"].count(":") > 1:
        return
    kept = [one for one in parent[name] if not _has(one, wanted)]
    if len(kept) < len(parent[name]):
        yield "required slice left out", "", _with(name, kept) if kept else _without([name])


def _has(value: Json, wanted: Json) -> bool:
    pairs = [(one.get("system"), one.get("code")) for one in value.get("coding", ())]
    return all((one.get("system"), one.get("code")) in pairs for one in wanted.get("coding", ()))


def broken_rules(name: str, resource: Json, snapshot: list[Json]) -> Iterator[Mutant]:
    """The guide's own invariants that the profile has, each broken by hand where the example has what it is about."""
    rules = [(row, one) for row in snapshot for one in row.get("constraint", ()) if not _misses(row, one)]
    places = {one["key"]: str(row["path"]).removesuffix("[x]") for row, one in rules}
    for key, type_, edit in BREAKERS:
        if key in places and type_ == resource["resourceType"] and edit(copy.deepcopy(resource)):
            yield Mutant(f"invariant {key}", name, places[key], (), edit)


def _misses(element: Json, rule: Json) -> bool:
    """A rule at value[x] that asks for the value of the value is always kept: US Core 6.1.0 has such a one."""
    return str(element["path"]).endswith("value[x]") and str(rule.get("expression", "")).startswith("value.")


_PLAIN = (_removed, _repeated, _retyped, _recoded, _unfixed, _retargeted)
_SLICED = (_unsliced,)
