"""Mutants of R4's own examples, of every type and down into data types: what the element table forbids is refused.

https://hl7.org/fhir/R4/downloads.html
"""

import copy
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fhir_server.fhir.definitions import core_elements
from fhir_server.fhir.elements import Element
from fhir_server.fhir.errors import FHIRError
from fhir_server.validation import structure
from fhir_server.validation.primitives import PRIMITIVES
from tests.validation.test_official_examples import SLIPS

SEED, MANY, LONGEST = 404, 4000, 40_000
_INDEX = re.compile(r"\[\d+\]")
_SLIPS = {name for name, _ in SLIPS}

# A value of the right JSON type that no value of the type may have.
UNTRUE: dict[str, Any] = {
    "base64Binary": "abc",
    "canonical": "a b",
    "code": " a",
    "date": "2026-02-30",
    "dateTime": "2026-01-01T10:00:00",
    "decimal": "1.0",
    "id": "a_b",
    "instant": "2026-01-01",
    "integer": 1.5,
    "oid": "urn:oid:1.02",
    "positiveInt": 0,
    "time": "10:00",
    "unsignedInt": -1,
    "uri": "a b",
    "url": "a b",
    "uuid": "urn:uuid:ABC",
    "boolean": "true",
    "string": "",
    "markdown": "",
}


class Mutant(NamedTuple):
    """One change: its kind, the example, the element that an issue must name, the way there, and the new value."""

    kind: str
    example: str
    path: str
    steps: tuple[str | int, ...]
    value: Any

    def applied(self, resource: dict) -> dict:
        """The mutant; None as a value takes the member away."""
        made: Any = copy.deepcopy(resource)
        parent = made
        for step in self.steps[:-1]:
            parent = parent[step]
        if self.value is None:
            del parent[self.steps[-1]]
        else:
            parent[self.steps[-1]] = copy.deepcopy(self.value)
        return made


def mutants(name: str, resource: dict) -> Iterator[Mutant]:
    yield from of_object(name, resource, resource["resourceType"], resource["resourceType"], ())


def of_object(name: str, node: dict, kind: str, path: str, steps: tuple) -> Iterator[Mutant]:
    """Mutants of an object whose structure is known, and of all that is in it."""
    members = core_elements().members(kind)
    yield Mutant("unknown member", name, f"{path}.shoe", (*steps, "shoe"), 43)
    for key, value in node.items():
        if key in members and key != "div":
            element, of = members[key]
            at, way = f"{path}.{key}", (*steps, key)
            yield from of_member(name, node, element, of, value, at, way)
            items = enumerate(value) if isinstance(value, list) else ()
            inner = [((*way, n), one) for n, one in items] or [(way, value)]
            for place, one in inner:
                if isinstance(one, dict) and of != "Resource":
                    yield from of_object(name, one, of, at, place)
                elif isinstance(one, dict):
                    yield from of_object(name, one, one["resourceType"], at, place)


def of_member(name: str, node: dict, element: Element, kind: str, value: Any, at: str, way: tuple) -> Iterator[Mutant]:
    if element.min and not element.choice and f"_{way[-1]}" not in node and len(node) > 1:
        yield Mutant("required element left out", name, at, way, None)
    yield Mutant("an array for one, or one for an array", name, at, way, value[0] if element.repeats else [value])
    yield Mutant("empty", name, at, way, [] if element.repeats else {})
    if element.choice:
        other = next(one for one in element.json_names if one != way[-1])
        yield Mutant("two forms of a choice", name, at.rpartition(".")[0], (*way[:-1], other), value)
    place = (*way, 0) if element.repeats else way
    one = value[0] if element.repeats else value
    if kind in PRIMITIVES and one is not None:
        yield Mutant(f"no {kind}", name, at, place, UNTRUE[kind])
    if kind == "code" and core_elements().codes(element.binding):
        yield Mutant("code outside a required binding", name, at, place, "no-such-code")
    if kind == "Reference" and element.targets and "Basic" not in element.targets and one.get("reference"):
        yield Mutant("reference to a wrong type", name, f"{at}.reference", (*place, "reference"), "Basic/1")


def refused(resource: dict) -> list:
    try:
        structure.check(resource["resourceType"], resource)
    except FHIRError as error:
        return list(error.issues)
    return []


@pytest.mark.long
def test_mutants_of_every_type_are_refused_at_their_place(shared_data: Path, capsys):
    """B-18, B-19: thousands drawn from all that can be made of the published examples."""
    folders = ("r4-examples", "r4-test-cases/examples")
    paths = [path for folder in folders for path in sorted((shared_data / folder).glob("*.json"))]
    right = [path for path in paths if path.name not in _SLIPS and path.stat().st_size < LONGEST]
    examples = {path.name: json.loads(path.read_bytes()) for path in right}
    every = [mutant for name, one in examples.items() for mutant in mutants(name, one)]
    chosen = random.Random(SEED).sample(every, MANY)
    missed = []
    for one in chosen:
        places = [_INDEX.sub("", issue.expression) for issue in refused(one.applied(examples[one.example]))]
        plain = re.sub(r"^.*\b(contained|resource)\b", "", one.path)
        if not any(place.endswith(plain) or plain in place or one.path in place for place in places):
            missed.append((one.kind, one.example, one.path, places[:3]))
    with capsys.disabled():
        kinds = Counter(one.kind for one in chosen)
        types = {examples[one.example]["resourceType"] for one in chosen}
        print(f"\n{len(chosen)} of {len(every)} mutants of {len(types)} types, {len(missed)} missed")
        print("\n".join(f"{number:5} {kind}" for kind, number in sorted(kinds.items())))
    assert missed == []
