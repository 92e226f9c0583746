"""The models behind one file.  https://hl7.org/fhir/R4B/diff.html"""

import pytest

from fhir_server.fhir import models
from fhir_server.fhir.errors import NotSupported, Structure

EXTENSION = {"url": "u", "valueCode": "unknown"}


def test_what_is_built_is_dumped():
    patient = {
        "resourceType": "Patient",
        "name": [{"given": ["Amy", None], "_given": [None, {"extension": [EXTENSION]}]}],
        "birthDate": "1987-02",
        "meta": {"lastUpdated": "2026-11-22T10:00:00Z"},
    }
    assert models.dump(models.build("Patient", patient)) == patient


def test_a_required_value_may_be_an_extension():
    task = {"resourceType": "Task", "_status": {"extension": [EXTENSION]}, "intent": "order"}
    assert models.dump(models.build("Task", task)) == task


def test_building_wrong_things_names_them():
    with pytest.raises(Structure) as caught:
        models.build("Observation", {"code": {"text": "x", "foo": 1}})
    assert {(i.code, i.expression) for i in caught.value.issues} >= {("structure", "Observation.code.foo")}


def test_types_without_model_say_so():
    with pytest.raises(NotSupported):
        models.build("MedicinalProduct", {})
    assert models.problems("MedicinalProduct", {"foo": 1}) == []


def test_what_came_after_r4_is_a_problem():
    extension = {"url": "u", "valueRatioRange": {"denominator": {"value": 1}}}
    problems = models.problems("Patient", {"resourceType": "Patient", "extension": [extension]})
    assert ("structure", "Patient.extension[0].valueRatioRange") in {(i.code, i.expression) for i in problems}


def test_what_only_r4_has_is_no_problem():
    extension = {"url": "u", "valueMeta": {"versionId": "1"}}
    assert models.problems("Patient", {"resourceType": "Patient", "extension": [extension]}) == []


def test_unreadable_shapes_are_a_problem_and_no_crash():
    assert models.problems("Patient", {"resourceType": "Patient", "contained": [{"resourceType": 7}]})
