"""The structural check against the fhir.resources models, over the official examples and mutants of them.

R4 4.0.1 decides; where the two differ, the reason stands in DIFFERENCES.  https://hl7.org/fhir/R4/downloads.html
"""

import copy
import random
import re
import tarfile

import orjson
import pytest

from fhir_server.fhir import models, wire
from fhir_server.fhir.definitions import core_elements, type_number
from fhir_server.fhir.errors import FHIRError
from fhir_server.validation.structure import _certainly_right, _walk, check
from tests.laws import OF_THE_EXCHANGE, often_and_all

MUTANTS = 6  # of each example
LONG = 30_000  # bytes; longer examples only cost time

# Our issue (code, start of its words) -> why we refuse what the models let through.
DIFFERENCES = {
    ("structure", "null stands only"): "the models read null as absent; R4 json.html allows it only as array padding",
    ("structure", "must be an array"): "as above, where null stands for an array",
    ("structure", "must be an object"): "as above, where null stands for an object",
    ("structure", "must not be an empty"): "the models drop what is empty; R4 json.html forbids empty parts",
    ("structure", "must be a string"): "the models turn numbers into dates; R4 json.html says they are strings",
    ("structure", "must be true or false"): "the models take 1.0 for true",
    ("value", "must be a uri"): "the models do not check the uri pattern",
    ("value", "must be a canonical"): "as above",
    ("value", "must be a url"): "as above",
    ("value", "must be Type/id"): "the models do not read references",
    ("value", "refers to"): "as above: targets of references",
    ("value", "must be a whole number"): "the models take 1.0 for 1",
    ("value", "must be 1 to 64"): "the models do not limit the length of an id",
    ("value", "must be a date"): "the models do not look into the calendar",
    ("code-invalid", ""): "the models know no required bindings",
    ("invariant", ""): "the models know no invariants",
}

# Official examples that break R4's own rules.
HL7_SLIPS = {
    "questionnaireresponse-extensions-QuestionnaireResponse-item-subject.json": "its id has more than 64 characters",
}


def _replace(value):
    def change(node, step):
        node[step] = copy.deepcopy(value)

    return change


def _drop(node, step):
    del node[step]


def _empty(node, step):
    node[step] = type(node[step])() if isinstance(node[step], dict | list | str) else ""


def _rename(node, step):
    if isinstance(node, dict):
        node["foo"] = node.pop(step)


def _wrap(node, step):
    node[step] = [node[step]]


def _unwrap(node, step):
    node[step] = node[step][0] if isinstance(node[step], list) else node[step]


REPLACEMENTS = [None, 7, -1, 1.0, "zz top", "2024-02-30", {"foo": 1}, ["a"], True, {"extension": []}]
MUTATIONS = [_drop, _empty, _rename, _wrap, _unwrap, *map(_replace, REPLACEMENTS)]


def _paths(node, path=()):
    for step, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*path, step)
        yield from _paths(child, (*path, step))


def _mutant(resource, chance):
    changed = copy.deepcopy(resource)
    # The narrative is left alone: the models do not look into it.
    path = chance.choice([p for p in _paths(resource) if p[0] not in ("resourceType", "text")])
    node = changed
    for step in path[:-1]:
        node = node[step]
    chance.choice(MUTATIONS)(node, path[-1])
    return changed


@pytest.fixture(scope="module")
def examples(shared_data):
    files = sorted((shared_data / "r4-examples").glob("*.json"))
    assert files
    return {file.name: orjson.loads(file.read_bytes()) for file in files}


def test_every_official_example_passes_the_gate_and_the_check(shared_data):
    """B-18: nothing that HL7 publishes as right is refused, but for its own slips."""
    refused = set()
    for file in sorted((shared_data / "r4-examples").glob("*.json")):
        resource = wire.parse(file.read_bytes())
        try:
            check(resource["resourceType"], resource)
        except FHIRError:
            refused.add(file.name)
    assert refused == set(HL7_SLIPS)


@pytest.mark.parametrize("package", ["us_core_610.tgz", "us_core_700.tgz"])
def test_every_us_core_example_passes(shared_data, package):
    """B-18, as above, for the examples of the national guide."""
    count = 0
    with tarfile.open(shared_data / package) as archive:
        for member in archive:
            if "/example/" in member.name and member.name.endswith(".json"):
                resource = wire.parse(archive.extractfile(member).read())
                if "resourceType" in resource:
                    check(resource["resourceType"], resource)
                    count += 1
    assert count > 100


@pytest.mark.parametrize("types", often_and_all(OF_THE_EXCHANGE))
def test_check_and_models_agree_but_for_known_reasons(examples, types):
    """Design 2: fhir.resources is the oracle; what it refuses we refuse, and what only we refuse has a reason."""
    chance = random.Random(4_0_1)
    compared = 0
    for name, example in examples.items():
        kind = example["resourceType"]
        if (types and kind not in types) or len(orjson.dumps(example)) > LONG:
            continue
        for resource in [example, *(_mutant(example, chance) for _ in range(MUTANTS))]:
            ours = list(_walk().resource(resource, kind))
            theirs = models.problems(kind, copy.deepcopy(resource))
            compared += 1
            assert ours or not theirs, f"{name}: only the models refuse it: {theirs[0]}"
            if ours and not theirs:
                assert all(_explained(issue) for issue in ours), f"{name}: {ours[0]}"
    assert compared > (300 if types else 1000)


def _explained(issue):
    return any(issue.code == code and issue.diagnostics.startswith(words) for code, words in DIFFERENCES)


@pytest.mark.parametrize("types", often_and_all(OF_THE_EXCHANGE))
def test_the_fast_gate_never_passes_what_the_walk_refuses(examples, types):
    """The compiled schemas are sound: what they accept, the element walk accepts."""
    chance = random.Random(1)
    chosen = {name: one for name, one in examples.items() if not types or one["resourceType"] in types}
    fast = 0
    for name, example in chosen.items():
        kind = example["resourceType"]
        for resource in [example, *(_mutant(example, chance) for _ in range(MUTANTS))]:
            if _certainly_right(kind, resource):
                fast += 1
                issues = list(_walk().resource(resource, kind))
                assert not issues, f"{name}: {issues[0]}"
    assert fast > len(chosen) * 0.9


@pytest.mark.parametrize("types", often_and_all(OF_THE_EXCHANGE))
def test_the_models_lack_exactly_the_types_that_are_listed(types):
    """Every difference between R4 and R4B that matters stands in fhir/models.py."""
    table = core_elements()
    differing = set()
    for kind in types or (name for name in table.structures() if "." not in name):
        if kind in models.WITHOUT_MODEL or table.base(kind) == "" or kind in ("DomainResource", "SubstanceAmount"):
            continue
        known = {field.alias or name for name, field in models._model(kind).model_fields.items()}
        r4 = set(table.members(kind)) - models.ONLY_R4
        r4b = {name for name in known if re.fullmatch("[a-z][A-Za-z0-9]*", name)} - models.ONLY_R4B
        if r4 != r4b - {"resourceType", "fhir_comments"}:
            differing.add(kind)
    assert differing == set()
    assert all(type_number(kind) for kind in models.WITHOUT_MODEL)
