"""The profile validator on small profiles of its own, and on US Core where that package is at hand."""

import json
import tarfile
from copy import copy, deepcopy
from functools import cache

import fhirpathpy
import pytest
from fhirpathpy.models import models

from fhir_server.fhir.definitions import load
from fhir_server.fhir.folders import data_folder
from fhir_server.terminology.codes import Terminology
from fhir_server.validation import invariant
from fhir_server.validation.profile import MOST_ISSUES, ProfileValidator

BASE = "http://hl7.org/fhir/StructureDefinition/"
URL = "https://example.org/StructureDefinition/test"
SYSTEM = "https://example.org/CodeSystem/colours"
COLOURS = {
    "resourceType": "CodeSystem",
    "url": SYSTEM,
    "content": "complete",
    "concept": [{"code": "red", "display": "Red"}, {"code": "blue", "display": "Blue"}],
}
RED = {"resourceType": "ValueSet", "url": "https://example.org/ValueSet/red"}
RED["compose"] = {"include": [{"system": SYSTEM, "concept": [{"code": "red"}]}]}


def profile(type, *elements, url=URL, base=None, **more):
    named = [{"path": one["id"].split(":")[0], **one} for one in elements]
    return {
        "resourceType": "StructureDefinition",
        "url": url,
        "type": type,
        "baseDefinition": base or BASE + type,
        "differential": {"element": [{"id": type, "path": type}, *named]},
        **more,
    }


@cache
def core():
    """R4's own definitions: reading them takes longer than a test."""
    return load([])


def installed(*resources):
    """R4 and these resources, as `load` has them from a folder."""
    definitions = copy(core())
    definitions._by_type = {kind: [*some] for kind, some in definitions._by_type.items()}
    definitions._by_url = {**definitions._by_url}
    for resource in (COLOURS, RED, *resources):
        definitions._add(json.loads(json.dumps(resource)))
    return definitions


def validator(_, *resources):
    definitions = installed(*resources)
    return ProfileValidator(definitions, Terminology(definitions))


def found(issues):
    return [(one.code, one.expression) for one in issues]


def test_unknown_claims_are_refused_and_base_claims_are_nothing_new(tmp_path):
    """Catalogue row 47."""
    checker = validator(tmp_path, profile("Patient"))
    claims = ["https://example.org/none", BASE + "Patient", URL, "https://example.org/ValueSet/red"]
    issues = checker.check("Patient", {"resourceType": "Patient", "meta": {"profile": claims}})
    assert found(issues) == [("not-supported", f"Patient.meta.profile[{n}]") for n in (0, 3)]
    assert found(checker.check("Group", {"resourceType": "Group"}, [URL])) == [("invariant", "Group")]


def test_a_profile_claimed_and_required_is_checked_once(tmp_path):
    checker = validator(tmp_path, profile("Patient", {"id": "Patient.gender", "min": 1}))
    resource = {"resourceType": "Patient", "meta": {"profile": [URL]}}
    assert found(checker.check("Patient", resource, [URL])) == [("invariant", "Patient.gender")]


def test_versioned_claims_find_the_profile_of_that_version(tmp_path):
    checker = validator(tmp_path, profile("Patient", {"id": "Patient.gender", "min": 1}, version="2"))
    claims = [URL + "|2", URL + "|1"]
    issues = checker.check("Patient", {"resourceType": "Patient", "meta": {"profile": claims}})
    assert found(issues) == [("invariant", "Patient.gender"), ("not-supported", "Patient.meta.profile[1]")]


@pytest.mark.parametrize("place", ["root", "deep", "contained", "primitive"])
def test_modifier_extensions_nobody_knows_are_refused_everywhere(tmp_path, place):
    """Catalogue row 46: also without any profile."""
    unknown = {"modifierExtension": [{"url": "https://example.org/none", "valueBoolean": True}]}
    resource, where = {
        "root": (unknown, "Patient.modifierExtension[0]"),
        "deep": ({"contact": [{}, unknown]}, "Patient.contact[1].modifierExtension[0]"),
        "contained": (
            {"contained": [{"resourceType": "Group", **unknown}]},
            "Patient.contained[0].modifierExtension[0]",
        ),
        "primitive": ({"_gender": unknown}, "Patient.gender.modifierExtension[0]"),
    }[place]
    issues = validator(tmp_path).check("Patient", {"resourceType": "Patient", **resource})
    assert found(issues) == [("extension", where)]


def test_known_extensions_are_checked_wherever_they_stand(tmp_path):
    url = "https://example.org/StructureDefinition/flag"
    flag = profile("Extension", {"id": "Extension.value[x]", "min": 1, "type": [{"code": "boolean"}]}, url=url)
    checker = validator(tmp_path, flag)
    resource = {"resourceType": "Patient", "name": [{"extension": [{"url": url, "valueString": "x"}]}]}
    issues = checker.check("Patient", resource)
    assert found(issues) == [("invariant", "Patient.name[0].extension[0].value")]
    assert "valueBoolean" in issues[0].diagnostics
    resource["name"][0]["extension"][0] = {"url": url, "valueBoolean": False}
    assert checker.check("Patient", resource) == []


@pytest.mark.parametrize(
    ("value", "required", "extensible"),
    [
        ({"coding": [{"system": SYSTEM, "code": "red"}]}, True, True),
        ({"coding": [{"system": "urn:other", "code": "x"}, {"system": SYSTEM, "code": "red"}]}, True, True),
        ({"coding": [{"system": SYSTEM, "code": "blue"}]}, False, True),
        ({"coding": [{"system": SYSTEM, "code": "bleu"}]}, False, False),
        ({"coding": [{"system": SYSTEM, "code": "bleu"}, {"system": "urn:other", "code": "x"}]}, False, False),
        ({"coding": [{"system": "urn:other", "code": "x"}]}, False, True),
        ({"text": "reddish"}, False, True),
    ],
)
def test_bindings(tmp_path, value, required, extensible):
    """Catalogue row 43: required codes must be in the set; beyond an extensible set no code may be made up."""
    for strength, expected in (("required", required), ("extensible", extensible)):
        bound = {"id": "Patient.maritalStatus", "binding": {"strength": strength, "valueSet": RED["url"]}}
        issues = validator(tmp_path, profile("Patient", bound)).check("Patient", {"maritalStatus": value}, [URL])
        assert found(issues) == ([] if expected else [("code-invalid", "Patient.maritalStatus")])


def test_bindings_to_sets_that_are_not_installed_are_left_alone(tmp_path):
    bound = {"id": "Patient.maritalStatus", "binding": {"strength": "required", "valueSet": "urn:none"}}
    checker = validator(tmp_path, profile("Patient", bound))
    assert checker.check("Patient", {"maritalStatus": {"coding": [{"code": "x"}]}}, [URL]) == []


def sliced(rules, *slices, discriminator=("value", "system")):
    kind, path = discriminator
    slicing = {"discriminator": [{"type": kind, "path": path}], "rules": rules}
    return profile("Patient", {"id": "Patient.identifier", "slicing": slicing}, *slices)


def slice_of(name, *rules):
    whole = {"id": f"Patient.identifier:{name}", "path": "Patient.identifier", "sliceName": name, "max": "1"}
    return [
        whole,
        *[{"path": "Patient.identifier." + one["id"], **one, "id": f"{whole['id']}.{one['id']}"} for one in rules],
    ]


A, B = [{"id": "system", "fixedUri": "urn:a"}], [{"id": "system", "fixedUri": "urn:b"}]


def test_closed_slicing_refuses_what_is_in_no_slice(tmp_path):
    patient = {"identifier": [{"system": "urn:a"}, {"system": "urn:c"}, {"system": "urn:b"}, {"system": "urn:b"}]}
    rows = [*slice_of("a", *A), *slice_of("b", *B)]
    closed = validator(tmp_path, sliced("closed", *rows)).check("Patient", patient, [URL])
    assert found(closed) == [("invariant", "Patient.identifier[1]"), ("invariant", "Patient.identifier")]
    opened = validator(tmp_path, sliced("open", *rows)).check("Patient", patient, [URL])
    assert found(opened) == [("invariant", "Patient.identifier")]


def test_slices_by_existence(tmp_path):
    old = slice_of("old", {"id": "period", "min": 1}, {"id": "use", "min": 1})
    checker = validator(tmp_path, sliced("open", *old, discriminator=("exists", "period")))
    patient = {"identifier": [{"value": "1"}, {"value": "2", "period": {"start": "2020"}}]}
    assert found(checker.check("Patient", patient, [URL])) == [("invariant", "Patient.identifier[1].use")]


def test_slices_that_need_other_resources_are_not_enforced(tmp_path):
    rows = slice_of("a", {"id": "use", "min": 1})
    checker = validator(tmp_path, sliced("closed", *rows, discriminator=("value", "assigner.resolve().name")))
    assert checker.check("Patient", {"identifier": [{"value": "1"}]}, [URL]) == []


def test_profiles_on_profiles_keep_the_rules_of_their_bases(tmp_path):
    parent = "https://example.org/StructureDefinition/parent"
    rules = [
        {
            "key": "t-1",
            "severity": "error",
            "human": "Name or birth date",
            "expression": "name.exists() or birthDate.exists()",
        }
    ]
    first = profile("Patient", {"id": "Patient", "constraint": rules}, {"id": "Patient.gender", "min": 1}, url=parent)
    second = profile("Patient", {"id": "Patient.active", "min": 1}, base=parent)
    issues = validator(tmp_path, first, second).check("Patient", {"resourceType": "Patient"}, [URL])
    assert sorted(found(issues)) == [
        ("invariant", "Patient"),
        ("invariant", "Patient.active"),
        ("invariant", "Patient.gender"),
    ]


def test_a_profile_may_come_as_snapshot_only(tmp_path):
    whole = profile("Patient", {"id": "Patient.gender", "min": 1})
    whole["snapshot"] = whole.pop("differential")
    assert found(validator(tmp_path, whole).check("Patient", {}, [URL])) == [("invariant", "Patient.gender")]


def test_missing_values_with_an_extension_count_as_sent(tmp_path):
    """UC-11: mandatory, not known: the data-absent-reason extension stands in for the value."""
    checker = validator(
        tmp_path, profile("Patient", {"id": "Patient.gender", "min": 1}, {"id": "Patient.name.given", "min": 1})
    )
    absent = {"extension": [{"url": BASE + "data-absent-reason", "valueCode": "unknown"}]}
    assert checker.check("Patient", {"_gender": absent, "name": [{"_given": [absent]}]}, [URL]) == []
    assert len(checker.check("Patient", {"name": [{}]}, [URL])) == 2


@pytest.mark.parametrize(
    ("reference", "allowed"),
    [
        ({"reference": "Organization/1"}, True),
        ({"reference": "Organization/1/_history/2"}, True),
        ({"reference": "https://example.org/fhir/Organization/1"}, True),
        ({"reference": "urn:uuid:0b6b0a5e-6a3b-4b57-8b3c-5a3f1c9d2e11"}, True),
        ({"reference": "#inside"}, True),
        ({"identifier": {"value": "1"}}, True),
        ({"identifier": {"value": "1"}, "type": "Patient"}, False),
        ({"reference": "Practitioner/1"}, False),
        ({"reference": "https://example.org/fhir/Practitioner/1"}, False),
    ],
)
def test_reference_targets(tmp_path, reference, allowed):
    kinds = [{"code": "Reference", "targetProfile": [BASE + "Organization"]}]
    checker = validator(tmp_path, profile("Patient", {"id": "Patient.managingOrganization", "type": kinds}))
    issues = checker.check("Patient", {"managingOrganization": reference}, [URL])
    assert found(issues) == ([] if allowed else [("invariant", "Patient.managingOrganization.reference")])


def test_no_more_than_fifty_issues(tmp_path):
    checker = validator(tmp_path, profile("Patient", {"id": "Patient.name.family", "min": 1}))
    assert len(checker.check("Patient", {"name": [{}] * 500}, [URL])) == MOST_ISSUES


def test_long_values_are_not_echoed(tmp_path):
    bound = {"id": "Patient.maritalStatus", "binding": {"strength": "required", "valueSet": RED["url"]}}
    value = {"coding": [{"system": SYSTEM, "code": "x" * 1000}]}
    issues = validator(tmp_path, profile("Patient", bound)).check("Patient", {"maritalStatus": value}, [URL])
    assert "x" * 64 in issues[0].diagnostics
    assert "x" * 65 not in issues[0].diagnostics


# ---- invariants
PATIENT = {
    "resourceType": "Patient",
    "active": True,
    "gender": "female",
    "multipleBirthInteger": 2,
    "name": [{"family": "A", "given": ["B", "C"]}, {"use": "old", "family": "D"}],
    "identifier": [{"system": "urn:a", "value": "90000001A"}],
    "extension": [{"url": "urn:x", "valueCode": "y"}],
}


@pytest.mark.parametrize(
    "expression",
    [
        "name.exists()",
        "Patient.name.exists()",
        "photo.exists()",
        "photo.empty()",
        "name.where(use = 'old').family = 'D'",
        "name.exists(given.exists() and family = 'A')",
        "name.all(family.exists())",
        "name.all(given.exists())",
        "name.count() = 2",
        "name.count() > 2",
        "name.given.count() >= 2 and name.first().family = 'A'",
        "gender = 'male' or active",
        "gender = 'male' xor active",
        "gender = 'female' xor active",
        "gender != 'male'",
        "gender = 'male' implies photo.exists()",
        "gender = 'female' implies photo.exists()",
        "photo.exists() implies false",
        "photo.title = 'x' implies false",
        "gender in ('male' | 'female')",
        "('male' | 'other') contains gender",
        "active.not()",
        "(active and photo.exists()).not()",
        "identifier.value.matches('^[0-9]{8}[A-Z]$')",
        "identifier.value.matches('^[0-9]{9}$')",
        "identifier.value.startsWith('9')",
        "identifier.system.startsWith('http')",
        "extension('urn:x').value = 'y'",
        "extension('urn:z').exists()",
        "extension.where(url='urn:x').value.exists()",
        "multipleBirth = 2",
        "multipleBirth <= 1",
        "name.where($this.use = 'old').exists()",
        "photo.title = 'x'",
        "photo.title = 'x' and active",
        "name.tail().exists()",
        "name.select(family).count() = 2",
        "iif(active, true, false)",
        "(1 | 2 | 2).count() = 2",
        "name.repeat('x').count() = 1",
        "'P\\u0065ter' = 'Peter'",
        "Patient.is(Patient)",
        "true.toInteger() = 1",
    ],
)
def test_invariants_mean_what_the_library_says(expression):
    """The closures and `fhirpathpy` agree; what the closures cannot do goes to the library."""
    answer = fhirpathpy.compile(expression, models["r4"])(deepcopy(PATIENT), {})
    rule = invariant.compiled(expression).rule
    assert rule is not None
    assert rule(PATIENT) is (answer == [True])


def test_invariants_that_ask_others_are_not_enforced():
    for expression in ("subject.resolve().active", "code.memberOf('urn:x')", "%elsewhere.id.exists()"):
        assert invariant.compiled(expression).rule is None


@pytest.mark.parametrize(
    ("expression", "held"),
    [
        ("%resource.gender = 'female'", True),
        ("%rootResource.name.count() = 3", False),
        ("%context.family.exists()", True),
        ("family = 'A' implies %resource.active", True),
        ("%`vs-colours` = 'http://hl7.org/fhir/ValueSet/colours'", True),
        ("%sct = 'http://snomed.info/sct'", True),
        ("%resource.name.all(family = %context.family)", False),
    ],
)
def test_rules_may_name_what_they_stand_in(tmp_path, expression, held):
    """%resource, %rootResource, %context and the names of terminologies."""
    rule = {"key": "t-1", "severity": "error", "human": "Odd", "expression": expression}
    checker = validator(tmp_path, profile("Patient", {"id": "Patient.name", "constraint": [rule]}))
    expected = [] if held else [("invariant", "Patient.name[0]"), ("invariant", "Patient.name[1]")]
    assert found(checker.check("Patient", PATIENT, [URL]))[:2] == expected


def test_matches_takes_the_whole_end():
    """`$` is the end of the text, not the place before a last line break."""
    rule = invariant.compiled("$this.matches('^[0-9]{8}[A-Z]$')").rule
    assert rule is not None
    assert rule("90000001A")
    assert not rule("90000001A\n")


# ---- US Core
@pytest.fixture(scope="module")
def us_core(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("us-core")
    with tarfile.open(shared_data / "us_core_700.tgz") as archive:
        archive.extractall(folder, filter="data")
    package = folder / "package"
    definitions = load([package, data_folder("profiles") / "ecm", data_folder("terminology") / "ecm"])
    return package, ProfileValidator(definitions, Terminology(definitions))


def test_the_examples_of_us_core_conform(us_core):
    """US Core is read as it is published; the only claims we cannot follow are another guide's."""
    package, checker = us_core
    examples = [json.loads(path.read_text()) for path in sorted((package / "example").glob("*.json"))]
    issues = [issue for one in examples for issue in checker.check(one["resourceType"], one)]
    assert len(examples) > 200
    assert {(issue.code, issue.expression) for issue in issues} == {("not-supported", "Questionnaire.meta.profile[0]")}


@pytest.mark.parametrize(
    ("example", "profile_name", "broken", "where"),
    [
        ("Patient-example", "us-core-patient", {"gender": None}, "Patient.gender"),
        ("Patient-example", "us-core-patient", {"name": [{"use": "usual"}]}, "Patient.name[0]"),
        ("CarePlan-colonoscopy", "us-core-careplan", {"category": [{"text": "x"}]}, "CarePlan.category"),
        ("Coverage-coverage-example", "us-core-coverage", {"relationship": None}, "Coverage.relationship"),
    ],
)
def test_broken_examples_of_us_core_do_not(us_core, example, profile_name, broken, where):
    package, checker = us_core
    resource = json.loads((package / "example" / f"{example}.json").read_text()) | broken
    resource = {key: value for key, value in resource.items() if value is not None}
    url = f"http://hl7.org/fhir/us/core/StructureDefinition/{profile_name}"
    assert ("invariant", where) in found(checker.check(resource["resourceType"], resource, [url]))


def test_our_examples_satisfy_us_core_too(us_core):
    """Design: where US Core is installed its profiles are enforced too, and our examples satisfy both."""
    names = {
        "Condition": "us-core-condition-problems-health-concerns",
        **{kind: f"us-core-{kind.lower()}" for kind in ("Patient", "Coverage", "CarePlan", "CareTeam", "Goal")},
        **{kind: f"us-core-{kind.lower()}" for kind in ("ServiceRequest", "Provenance", "Organization", "Procedure")},
    }
    _, checker = us_core
    for path in (data_folder("profiles") / "ecm" / "examples").glob("*.json"):
        one = json.loads(path.read_text())
        if name := names.get(one["resourceType"]):
            url = f"http://hl7.org/fhir/us/core/StructureDefinition/{name}"
            assert checker.check(one["resourceType"], one, [url]) == [], path.name
