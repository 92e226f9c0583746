"""The examples that are published with R4 are right, under R4's own profiles too.

https://hl7.org/fhir/R4/downloads.html
"""

import copy
import json
from pathlib import Path

import pytest

from fhir_server.fhir.errors import FHIRError
from fhir_server.validation import attachments, structure
from fhir_server.validation.profile import ProfileValidator
from tests.validation.test_profile import BASE, validator

# What HL7's own examples break, and why it is no mistake of ours.
SLIPS = {
    ("questionnaireresponse-extensions-QuestionnaireResponse-item-subject.json", "SearchParameter.id"): "76 characters",
    ("basic-example.json", "Basic.modifierExtension[0]"): "a modifier that is nowhere defined (row 46)",
    ("bundle-questionnaire.json", "Questionnaire.item[0].item[0].linkId"): "of an older release: it has no linkId",
    ("devicemetric-example.json", "DeviceMetric.parent.reference"): "DeviceDefinition is no target of R4",
    ("deviceusestatement-example.json", "DeviceUseStatement.reasonReference[0].reference"): "nor is Procedure",
    ("medicationrequest0301.json", "MedicationRequest.dispenseRequest.performer.reference"): "nor is Practitioner",
}


def refused(checker: ProfileValidator, resource: dict) -> list:
    kind = resource["resourceType"]
    try:
        structure.check(kind, resource)
        attachments.check(kind, resource)
    except FHIRError as error:
        return list(error.issues)
    return checker.check(kind, resource)


def test_every_published_example_is_right(shared_data: Path):
    """B-18: structure, claimed profiles of R4 such as those of vital signs, and their value sets."""
    checker, found, number = validator(None), set(), 0
    for path in sorted([*shared_data.glob("r4-examples/*.json"), *shared_data.glob("r4-test-cases/examples/*.json")]):
        number += 1
        found |= {(path.name, one.expression) for one in refused(checker, json.loads(path.read_bytes()))[:1]}
    assert found == SLIPS.keys()
    assert number > 250


# ---- R4's own profiles
PRESSURE = {
    "resourceType": "Observation",
    "meta": {"profile": [BASE + "bp"]},
    "status": "final",
    "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                              "code": "vital-signs"}]}],
    "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
    "subject": {"reference": "Patient/1"},
    "effectiveDateTime": "2026-01-01",
    "component": [
        {"code": {"coding": [{"system": "http://loinc.org", "code": code}]},
         "valueQuantity": {"value": 100, "unit": "mm", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}}
        for code in ("8480-6", "8462-4")
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda one: one.pop("category"), "Observation.category"),
        (lambda one: one["category"][0]["coding"][0].update(code="exam"), "Observation.category"),
        (lambda one: one.pop("effectiveDateTime"), "Observation.effective"),
        (lambda one: one.update(effectiveDateTime="2026"), "Observation.effective"),
        (lambda one: one["code"]["coding"][0].update(code="x"), "Observation.code.coding"),
        (lambda one: one["component"].pop(), "Observation.component"),
        (lambda one: one["component"][0]["valueQuantity"].update(code="[psi]"), "Observation.component[0].value.code"),
        (lambda one: one["component"][1].pop("valueQuantity"), "Observation.component[1]"),
        (lambda one: one.update(subject={"reference": "Group/1"}), "Observation.subject.reference"),
    ],
)
def test_the_profile_of_blood_pressure(change, where):
    """UC-05: slices within slices, codes by a binding, a rule on parts: all of one published profile."""
    checker, broken = validator(None), copy.deepcopy(PRESSURE)
    assert refused(checker, PRESSURE) == []
    change(broken)
    assert where in {one.expression for one in refused(checker, broken)}
