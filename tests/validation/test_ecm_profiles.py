"""The ECM profiles: every example validates, every rule has a mutant that fails."""

import copy
import json
import tarfile
from pathlib import Path

import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_server.ecm.requirements import required_profiles
from fhir_server.fhir.definitions import Definitions, load
from fhir_server.fhir.folders import data_folder
from fhir_server.terminology.codes import Terminology
from fhir_server.validation import structure
from fhir_server.validation.profile import ProfileValidator

ECM = data_folder("profiles") / "ecm"
PACKAGES = (ECM, data_folder("terminology") / "ecm")
EXAMPLES = {path.name: json.loads(path.read_text()) for path in sorted((ECM / "examples").glob("*.json"))}
MUTANTS = [mutant for path in sorted((ECM / "mutants").glob("*.json")) for mutant in json.loads(path.read_text())]
PROFILES = sorted(
    (json.loads(path.read_text()) for path in ECM.glob("StructureDefinition-*.json")), key=lambda one: one["id"]
)


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return load(PACKAGES)


@pytest.fixture(scope="module")
def terminology(definitions) -> Terminology:
    return Terminology(definitions)


@pytest.fixture(scope="module")
def validator(definitions, terminology) -> ProfileValidator:
    return ProfileValidator(definitions, terminology)


def mutated(mutant: dict) -> dict:
    """The example with the mutant's JSON Patch applied."""
    resource = copy.deepcopy(EXAMPLES[mutant["example"]])
    for step in mutant["patch"]:
        *way, last = step["path"].split("/")[1:]
        parent = resource
        for key in way:
            parent = parent[int(key)] if isinstance(parent, list) else parent.setdefault(key, [])
        _apply(parent, last, step)
    return resource


def _apply(parent: dict | list, last: str, step: dict) -> None:
    if isinstance(parent, list):
        if last == "-":
            parent.append(step["value"])
        elif step["op"] == "remove":
            del parent[int(last)]
        else:
            parent[int(last)] = step["value"]
    elif step["op"] == "remove":
        del parent[last]
    else:
        assert step["op"] == "add" or last in parent, step
        parent[last] = step["value"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_conform(validator, name):
    """EC-01 to EC-08: an example of every profile validates, in base FHIR and under what it claims."""
    example = EXAMPLES[name]
    structure.check(example["resourceType"], example)
    assert validator.check(example["resourceType"], example) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_load_as_models(name):
    example = EXAMPLES[name]
    model = get_fhir_model_class(example["resourceType"]).model_validate(example)
    assert model.id == example["id"]


def test_every_profile_has_an_example():
    claimed = {url for example in EXAMPLES.values() for url in example.get("meta", {}).get("profile", ())}
    assert claimed == {one["url"] for one in PROFILES if one["kind"] == "resource"}
    assert len(claimed) == 11


def test_examples_refer_to_each_other():
    known = {f"{example['resourceType']}/{example['id']}" for example in EXAMPLES.values()}
    named = {text for example in EXAMPLES.values() for text in _references(example)}
    assert named <= known


def _references(value):
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for one in value.values():
            yield from _references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant["rule"])
def test_mutants_fail(validator, mutant):
    """EC-08 and catalogue rows 43, 45, 46, 47: the broken rule is named by code and place."""
    resource = mutated(mutant)
    issues = validator.check(resource["resourceType"], resource)
    assert (mutant["issue"]["code"], mutant["issue"]["expression"]) in {(one.code, one.expression) for one in issues}
    assert all(one.severity == "error" and one.diagnostics for one in issues)


class Without(Definitions):
    """The installed definitions with one StructureDefinition replaced."""

    def __init__(self, whole: Definitions, url: str, definition: dict) -> None:
        self._whole, self._url, self._definition = whole, url, definition
        self.elements = whole.elements

    def resource(self, canonical: str):
        return self._definition if canonical == self._url else self._whole.resource(canonical)

    def all(self, resource_type: str):
        return self._whole.all(resource_type)

    def element(self, path: str):
        return self._whole.element(path)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda one: one["id"])
def test_every_rule_is_guarded_by_a_mutant(definitions, terminology, profile):
    """EC-08: take any one rule out of a profile, and a mutant passes that must fail."""
    mutants = [(mutant, mutated(mutant)) for mutant in MUTANTS]
    types = {profile["type"]} if profile["kind"] == "resource" else {"Patient"}
    mutants = [(mutant, resource) for mutant, resource in mutants if resource["resourceType"] in types]
    unguarded = [
        said
        for said, weaker in _weaker(profile)
        if _all_found(ProfileValidator(Without(definitions, profile["url"], weaker), terminology), mutants)
    ]
    assert unguarded == []


def _all_found(validator: ProfileValidator, mutants: list) -> bool:
    for mutant, resource in mutants:
        found = {(one.code, one.expression) for one in validator.check(resource["resourceType"], resource)}
        if (mutant["issue"]["code"], mutant["issue"]["expression"]) not in found:
            return False
    return True


def _weaker(profile: dict):
    """Every profile that lacks exactly one rule, with the name of the rule."""
    for place, element in enumerate(profile["differential"]["element"]):
        for key in _rules(element):
            for number in range(len(element["constraint"]) if key == "constraint" else 1):
                weaker = copy.deepcopy(profile)
                target = weaker["differential"]["element"][place]
                if key == "constraint":
                    del target["constraint"][number]
                else:
                    del target[key]
                yield f"{element['id']}: {key} {number}", weaker


def _rules(element: dict):
    """The names of an element's rules; what only tells a slice from its siblings is none."""
    return [key for key, value in element.items() if _is_rule(key, value, element)]


def _is_rule(key: str, value, element: dict) -> bool:
    if ":" not in element["id"]:
        if key == "binding":
            return (
                value["strength"] == "required" or element["id"] == "CareTeam.participant.role"
            )  # a system of our own
        if key.startswith(("pattern", "fixed")):
            return not element["path"].endswith(".url")
    if key == "type":
        return element["path"].endswith("[x]") or value[0]["code"] == "Reference"
    return key == "constraint" or (key == "min" and value > 0) or (key == "max" and value != "*")


def test_rosters_may_come_without_members(validator):
    """EC-03: the server renders the members, so a client writes a roster without them."""
    assert "member" not in EXAMPLES["Group-roster.json"]
    assert validator.check("Group", EXAMPLES["Group-roster.json"]) == []


def test_care_plans_are_valid_before_the_server_writes_the_narrative(validator):
    """EC-04: the narrative is the server's."""
    plan = {key: value for key, value in EXAMPLES["CarePlan-ecm.json"].items() if key != "text"}
    assert validator.check("CarePlan", plan) == []


def test_requirements_name_installed_profiles_and_examples_meet_them(validator, definitions):
    required_of = required_profiles()
    for example in EXAMPLES.values():
        kind = example["resourceType"]
        required = required_of(kind, example)
        assert all(definitions.resource(one) for one in required)
        assert set(required) <= set(example.get("meta", {}).get("profile", ()))
        plain = {key: value for key, value in example.items() if key != "meta"}
        assert validator.check(kind, plain, required) == []


def test_us_core_examples_with_ecm_installed_stay_free_of_ecm(shared_data: Path):
    """A generic EHR writes plain US Core: no ECM profile is asked of it."""
    required_of = required_profiles()
    with tarfile.open(shared_data / "us_core_700.tgz") as archive:
        names = [name for name in archive.getnames() if name.startswith("package/example/")]
        examples = [json.load(archive.extractfile(name)) for name in names if name.endswith(".json")]
    asked = [one["id"] for one in examples if required_of(one["resourceType"], one)]
    assert len(examples) > 100
    assert asked == []
