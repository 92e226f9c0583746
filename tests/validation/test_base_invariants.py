"""The invariants of base FHIR, each kept and each broken, as the gate and as the walk see it."""

import pytest

from fhir_server.validation.base_invariants import invariants
from fhir_server.validation.structure import _certainly_right, _walk

CODE = {"text": "x"}
SUBJECT = {"reference": "Patient/1"}
WRONG = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "entered-in-error"}]
}
ACTIVE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}
GONE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "resolved"}]}
ALLERGY = "http://terminology.hl7.org/CodeSystem/allergyintolerance-"
NO_ALLERGY = {"coding": [{"system": f"{ALLERGY}verification", "code": "entered-in-error"}]}
ALLERGIC = {"coding": [{"system": f"{ALLERGY}clinical", "code": "active"}]}
WHEN = "2026-01-01T00:00:00Z"
CODED = {"coding": [{"system": "http://loinc.org", "code": "1-8"}]}
OTHER = {"coding": [{"system": "http://loinc.org", "code": "2-6"}]}

BARE = {
    "AllergyIntolerance": {"patient": SUBJECT, "clinicalStatus": ALLERGIC},
    "AuditEvent": {
        "type": {"code": "rest"},
        "recorded": WHEN,
        "agent": [{"requestor": True}],
        "source": {"observer": SUBJECT},
    },
    "CarePlan": {"status": "active", "intent": "plan", "subject": SUBJECT},
    "Composition": {
        "status": "final",
        "type": CODE,
        "date": WHEN,
        "author": [{"reference": "Practitioner/1"}],
        "title": "x",
    },
    "Condition": {"subject": SUBJECT},
    "Consent": {"status": "active", "scope": CODE, "category": [CODE], "policyRule": CODE},
    "Goal": {"lifecycleStatus": "active", "description": CODE, "subject": SUBJECT},
    "Group": {"type": "person", "actual": True},
    "Immunization": {
        "status": "completed",
        "vaccineCode": CODE,
        "patient": SUBJECT,
        "occurrenceString": "x",
    },
    "List": {"status": "current", "mode": "working"},
    "Observation": {"status": "final", "code": CODED},
    "Organization": {"name": "x"},
    "Patient": {"active": True},
    "QuestionnaireResponse": {"status": "completed"},
    "ServiceRequest": {"status": "active", "intent": "order", "subject": SUBJECT},
}


def timing(**repeat):
    return {"occurrenceTiming": {"repeat": repeat}}


MEAL = {"offset": 5, "when": ["C"]}
CASES = [  # rule, type, what keeps it, what breaks it, where
    (
        "att-1",
        "Patient",
        {"photo": [{"data": "AAAA", "contentType": "image/png"}]},
        {"photo": [{"data": "AAAA"}]},
        "photo[0]",
    ),
    ("cpt-2", "Patient", {"telecom": [{"system": "phone", "value": "1"}]}, {"telecom": [{"value": "1"}]}, "telecom[0]"),
    (
        "qty-3",
        "Observation",
        {"valueQuantity": {"system": "urn:x", "code": "g"}},
        {"valueQuantity": {"code": "g"}},
        "valueQuantity",
    ),
    (
        "rng-2",
        "Observation",
        {"valueRange": {"low": {"value": 1}, "high": {"value": 1}}},
        {"valueRange": {"low": {"value": 2}, "high": {"value": 1}}},
        "valueRange",
    ),
    (
        "rat-1",
        "Observation",
        {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 2}}},
        {"valueRatio": {"numerator": {"value": 1}}},
        "valueRatio",
    ),
    (
        "exp-1",
        "Patient",
        {"extension": [{"url": "urn:x", "valueExpression": {"language": "text/cql", "expression": "x"}}]},
        {"extension": [{"url": "urn:x", "valueExpression": {"language": "text/cql"}}]},
        "extension[0].valueExpression",
    ),
    (
        "drt-1",
        "Patient",
        {
            "extension": [
                {"url": "urn:x", "valueDuration": {"value": 1, "code": "d", "system": "http://unitsofmeasure.org"}}
            ]
        },
        {"extension": [{"url": "urn:x", "valueDuration": {"value": 1}}]},
        "extension[0].valueDuration",
    ),
    (
        "age-1",
        "Condition",
        {"clinicalStatus": GONE, "abatementAge": {"value": 1, "code": "a", "system": "http://unitsofmeasure.org"}},
        {"clinicalStatus": GONE, "abatementAge": {"value": 0, "code": "a", "system": "http://unitsofmeasure.org"}},
        "abatementAge",
    ),
    ("tim-1", "ServiceRequest", timing(duration=1, durationUnit="d"), timing(duration=1), "occurrenceTiming.repeat"),
    ("tim-2", "ServiceRequest", timing(period=1, periodUnit="d"), timing(period=1), "occurrenceTiming.repeat"),
    (
        "tim-4",
        "ServiceRequest",
        timing(duration=0, durationUnit="d"),
        timing(duration=-1, durationUnit="d"),
        "occurrenceTiming.repeat",
    ),
    (
        "tim-5",
        "ServiceRequest",
        timing(period=0, periodUnit="d"),
        timing(period=-1, periodUnit="d"),
        "occurrenceTiming.repeat",
    ),
    (
        "tim-6",
        "ServiceRequest",
        timing(period=1, periodMax=2, periodUnit="d"),
        timing(periodMax=2),
        "occurrenceTiming.repeat",
    ),
    (
        "tim-7",
        "ServiceRequest",
        timing(duration=1, durationMax=2, durationUnit="d"),
        timing(durationMax=2),
        "occurrenceTiming.repeat",
    ),
    ("tim-8", "ServiceRequest", timing(count=1, countMax=2), timing(countMax=2), "occurrenceTiming.repeat"),
    ("tim-9", "ServiceRequest", timing(offset=5, when=["ACM"]), timing(**MEAL), "occurrenceTiming.repeat"),
    (
        "tim-10",
        "ServiceRequest",
        timing(when=["ACM"]),
        timing(when=["ACM"], timeOfDay=["08:00:00"]),
        "occurrenceTiming.repeat",
    ),
    ("ait-1", "AllergyIntolerance", {}, {"clinicalStatus": None}, ""),
    (
        "ait-2",
        "AllergyIntolerance",
        {"clinicalStatus": None, "verificationStatus": NO_ALLERGY},
        {"verificationStatus": NO_ALLERGY},
        "",
    ),
    ("sev-1", "AuditEvent", {"entity": [{"name": "x"}]}, {"entity": [{"name": "x", "query": "AAAA"}]}, "entity[0]"),
    (
        "cpl-3",
        "CarePlan",
        {"activity": [{"detail": {"status": "completed"}}]},
        {"activity": [{"detail": {"status": "completed"}, "reference": {"reference": "Task/1"}}]},
        "activity[0]",
    ),
    ("cmp-1", "Composition", {"section": [{"entry": [SUBJECT]}]}, {"section": [{"title": "x"}]}, "section[0]"),
    (
        "cmp-2",
        "Composition",
        {"section": [{"section": [{"entry": [SUBJECT]}]}]},
        {"section": [{"section": [{"entry": [SUBJECT], "emptyReason": CODE}]}]},
        "section[0].section[0]",
    ),
    ("con-1", "Condition", {"stage": [{"summary": CODE}]}, {"stage": [{"type": CODE}]}, "stage[0]"),
    ("con-2", "Condition", {"evidence": [{"code": [CODE]}]}, {"evidence": [{"id": "a"}]}, "evidence[0]"),
    (
        "con-4",
        "Condition",
        {"clinicalStatus": GONE, "abatementString": "x"},
        {"clinicalStatus": ACTIVE, "abatementString": "x"},
        "",
    ),
    ("con-5", "Condition", {"verificationStatus": WRONG}, {"verificationStatus": WRONG, "clinicalStatus": ACTIVE}, ""),
    (
        "gol-1",
        "Goal",
        {"target": [{"measure": CODE, "detailString": "x"}]},
        {"target": [{"detailString": "x"}]},
        "target[0]",
    ),
    ("grp-1", "Group", {"member": [{"entity": SUBJECT}]}, {"actual": False, "member": [{"entity": SUBJECT}]}, ""),
    (
        "imm-1",
        "Immunization",
        {"education": [{"documentType": "x"}]},
        {"education": [{"publicationDate": WHEN}]},
        "education[0]",
    ),
    ("lst-1", "List", {"emptyReason": CODE}, {"emptyReason": CODE, "entry": [{"item": SUBJECT}]}, ""),
    (
        "obs-3",
        "Observation",
        {"referenceRange": [{"text": "x"}]},
        {"referenceRange": [{"type": CODE}]},
        "referenceRange[0]",
    ),
    ("obs-6", "Observation", {"dataAbsentReason": CODE}, {"dataAbsentReason": CODE, "valueString": "x"}, ""),
    (
        "obs-7",
        "Observation",
        {"valueString": "x", "component": [{"code": OTHER}]},
        {"valueString": "x", "component": [{"code": CODED}]},
        "",
    ),
    ("org-1", "Organization", {}, {"name": None, "active": True}, ""),
    ("org-2", "Organization", {"address": [{"use": "work"}]}, {"address": [{"use": "work"}, {"use": "home"}]}, ""),
    ("org-3", "Organization", {"telecom": [{"use": "work"}]}, {"telecom": [{"use": "home"}]}, ""),
    ("pat-1", "Patient", {"contact": [{"name": {"text": "x"}}]}, {"contact": [{"gender": "female"}]}, "contact[0]"),
    (
        "qrs-1",
        "QuestionnaireResponse",
        {"item": [{"linkId": "1", "answer": [{"valueString": "x"}]}]},
        {"item": [{"linkId": "1", "answer": [{"valueString": "x"}], "item": [{"linkId": "2"}]}]},
        "item[0]",
    ),
    ("prr-1", "ServiceRequest", {"code": CODE, "orderDetail": [CODE]}, {"orderDetail": [CODE]}, ""),
]


def made(kind, more):
    whole = {"resourceType": kind, **BARE[kind], **more}
    return {name: value for name, value in whole.items() if value is not None}


@pytest.mark.parametrize(("key", "kind", "right", "wrong", "where"), CASES, ids=[case[0] for case in CASES])
def test_every_rule_kept_and_broken(key, kind, right, wrong, where):
    """B-18: the gate lets the one pass, and the walk names rule and place of the other."""
    assert _certainly_right(kind, made(kind, right))
    assert not list(_walk().resource(made(kind, right), kind))
    broken = made(kind, wrong)
    assert not _certainly_right(kind, broken)
    issues = list(_walk().resource(broken, kind))
    assert [(one.code, one.diagnostics.partition(":")[0]) for one in issues] == [("invariant", key)]
    assert issues[0].expression == f"{kind}.{where}".rstrip(".")


def test_no_rule_is_without_a_case():
    assert {one.key for some in invariants().values() for one in some} == {case[0] for case in CASES}


def test_ranges_in_different_units_are_not_compared():
    ends = {"low": {"value": 100, "unit": "g"}, "high": {"value": 1, "unit": "kg"}}
    assert _certainly_right("Observation", made("Observation", {"valueRange": ends}))
