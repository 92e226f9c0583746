"""The law of a difference: applied to the first version it gives the second."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.fhir.definitions import core_elements
from fhir_server.fhir.difference import difference
from fhir_server.validation import structure


def apply(patch: list[Any], resource: Any) -> Any:
    """A second, plain reading of FHIRPath Patch: paths of names and indexes only."""
    result = copy.deepcopy(resource)
    for operation in patch:
        part = {one["name"]: one for one in operation["part"]}
        path = part["path"]["valueString"].split(".")[1:]
        {"add": _add, "insert": _insert, "replace": _replace, "delete": _delete}[part["type"]["valueCode"]](
            result, path, part
        )
    return _pruned(result)


def _content(kind: str, part: Any) -> tuple[str, Any, Any]:
    """(member name for the type, value, companion)."""
    if "part" in part:
        node: dict[str, Any] = {}
        for one in part["part"]:
            _put(kind, node, one["name"], one, None)
        return "", node, None
    if "resource" in part:
        return "", part["resource"], None
    name = next(key.removeprefix("_") for key in part if key.removeprefix("_").startswith("value"))
    return name.removeprefix("value"), part.get(name), part.get(f"_{name}")


def _member(structure_: str, name: str, suffix: str) -> tuple[str, bool]:
    element = next(e for e in core_elements().of(structure_) if e.name.removesuffix("[x]") == name)
    return (name + suffix if element.choice else name), element.repeats


def _put(structure_: str, node: Any, name: str, part: Any, index: int | None) -> None:
    below = next((e.structure or e.types[0] for e in core_elements().of(structure_) if e.name == name), "")
    suffix, value, companion = _content(below, part)
    member, repeats = _member(structure_, name, suffix)
    if not repeats:
        for key in [k for k in node if k.removeprefix("_") in _names(structure_, name)]:
            del node[key]
        if value is not None:
            node[member] = value
        if companion is not None:
            node[f"_{member}"] = companion
        return
    values, companions = node.setdefault(member, []), node.setdefault(f"_{member}", [])
    companions += [None] * (len(values) - len(companions))
    at = len(values) if index is None else index
    values.insert(at, value)
    companions.insert(at, companion)


def _names(structure_: str, name: str) -> set[str]:
    return next(set(e.json_names) for e in core_elements().of(structure_) if e.name.removesuffix("[x]") == name)


def _walk(resource: Any, path: list[str]) -> tuple[str, Any]:
    structure_, node = resource["resourceType"], resource
    for step in path:
        name, _, rest = step.partition("[")
        key = next(k for k in _names(structure_, name) if k in node)
        structure_ = core_elements().members(structure_)[key][1]
        node = node[key][int(rest[:-1])] if rest else node[key]
    return structure_, node


def _add(resource: Any, path: list[str], part: Any) -> None:
    structure_, node = _walk(resource, path)
    _put(structure_, node, part["name"]["valueString"], part["value"], None)


def _insert(resource: Any, path: list[str], part: Any) -> None:
    structure_, node = _walk(resource, path[:-1])
    _put(structure_, node, path[-1], part["value"], part["index"]["valueInteger"])


def _replace(resource: Any, path: list[str], part: Any) -> None:
    structure_, node = _walk(resource, path[:-1])
    name, _, rest = path[-1].partition("[")
    if rest:
        index = int(rest[:-1])
        _delete(resource, path, part)
        _put(structure_, node, name, part["value"], index)
    else:
        _put(structure_, node, name, part["value"], None)


def _delete(resource: Any, path: list[str], part: Any) -> None:
    structure_, node = _walk(resource, path[:-1])
    name, _, rest = path[-1].partition("[")
    for key in [k for k in node if k.removeprefix("_") in _names(structure_, name)]:
        if not rest:
            del node[key]
        elif len(node[key]) > int(rest[:-1]):
            del node[key][int(rest[:-1])]


def _pruned(node: Any) -> Any:
    if isinstance(node, dict):
        kept = {name: _pruned(value) for name, value in node.items()}
        return {
            n: v
            for n, v in kept.items()
            if v not in ({}, []) and not (isinstance(v, list) and not any(one is not None for one in v))
        }
    return [_pruned(one) for one in node] if isinstance(node, list) else node


BASE: dict[str, Any] = {
    "resourceType": "Patient",
    "name": [{"family": "Rivera", "given": ["Ana", "María"]}],
    "contact": [{"name": {"family": "Vang"}, "relationship": [{"text": "mother"}]}],
    "multipleBirthBoolean": True,
    "birthDate": "1980-02-03",
    "contained": [{"resourceType": "Organization", "id": "o", "name": "X"}],
    "managingOrganization": {"reference": "#o"},
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">a</div>'},
}
CHANGES: list[dict[str, Any]] = [
    {"active": True},
    {"birthDate": None},
    {"birthDate": "1981"},
    {"multipleBirthBoolean": None, "multipleBirthInteger": 2},
    {"name": [{"family": "Rivera", "given": ["Ana"]}]},
    {"name": [{"family": "Vang"}, {"family": "Rivera", "given": ["María", "Ana", "Luz"]}]},
    {"name": None},
    {"contact": [{"name": {"family": "Vang"}, "relationship": [{"text": "aunt"}]}, {"name": {"text": "B"}}]},
    {
        "contact": [
            {
                "gender": "male",
                "name": {"text": "A"},
                "telecom": [{"system": "phone", "value": "1"}, {"system": "phone", "value": "2"}],
            }
        ]
    },
    {"_birthDate": {"extension": [{"url": "urn:x", "valueString": "noon"}]}},
    {"extension": [{"url": "urn:x", "valueQuantity": {"value": 1.5}}]},
    {"meta": {"tag": [{"code": "a"}]}},
    {"contained": [{"resourceType": "Organization", "id": "o", "name": "Y"}]},
    {"text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">b</div>'}},
    {"name": [{"given": ["A", "B"], "_given": [None, {"id": "g"}]}]},
]


def changed(change: dict[str, Any]) -> dict[str, Any]:
    merged = {**BASE, **change}
    return {name: value for name, value in merged.items() if value is not None}


@pytest.mark.parametrize("change", CHANGES)
def test_the_difference_leads_from_one_to_the_other(change: dict[str, Any]) -> None:
    one, other = changed({}), changed(change)
    for old, new in ((one, other), (other, one)):
        found = difference(old, new)
        assert found
        assert apply(found, old) == new
        structure.check("Parameters", {"resourceType": "Parameters", "parameter": found})
    assert difference(other, copy.deepcopy(other)) == []


def test_only_what_changed_is_told() -> None:
    found = difference(BASE, changed({"name": [{"family": "Rivera", "given": ["Ana", "Luz"]}]}))
    parts = [[next(v for k, v in part.items() if k != "name") for part in one["part"]] for one in found]
    assert parts == [["replace", "Patient.name[0].given[1]", "Luz"]]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_lists_of_any_kind(before: list[str], after: list[str]) -> None:
    def patient(families: list[str]) -> dict[str, Any]:
        return {"resourceType": "Patient", **({"name": [{"family": f} for f in families]} if families else {})}

    assert apply(difference(patient(before), patient(after)), patient(before)) == patient(after)
