"""Generated resources for the comparison of SQL with the oracle, and where in them their parameters look."""

import random
from collections.abc import Callable
from typing import Any

from tests.search import oracle
from tests.search.oracle import HERE, Resource, Stored

FAMILIES = [
    "Muñoz",
    "O'Brien-Smith",
    "Smith",
    "smithers",
    "Nguyễn",
    "García López",
    "100%",
    "a_b",
    "Ünal",
    "O\u2019Hara",
]
GIVEN = ["José", "Anna", "Jo", "ANNE", "Zoë", "Li"]
CITIES = ["Los Angeles", "Fresno", "San José", "San Jose"]
SYSTEMS = ["http://a.example", "http://b.example", "urn:oid:1.2.3"]
CODES = ["one", "One", "two", "a,b", "a|b", "a$b", "back\\slash"]
DATES = ["2026", "2026-03", "2026-03-01", "2026-03-08", "2026-03-01T10:00:00Z", "2026-03-01T10:00:00.250-08:00"]
MORE_DATES = [
    "2025",
    "2026-02",
    "2026-02-28",
    "2026-03-08T10:00:00Z",
    "2027-01-01",
    "2026-03-01T10:00:01Z",
    "2024-02-29",
]
PROFILES = ["http://p.example/one", "http://p.example/one|1.0", "http://p.example/two", "http://p.example/one/more"]
NARRATIVES = ["A weekly <b>plan</b> for Muñoz", "draft of the plan", "weekly", "O'Brien, José"]
STATUSES = ["draft", "active", "completed"]
TASK_STATUS_SYSTEM = "http://hl7.org/fhir/task-status"

TOKENS = {
    "Patient": {
        "identifier": ("identifier", ""),
        "gender": ("gender", "http://hl7.org/fhir/administrative-gender"),
        "active": ("active", ""),
        "_tag": ("meta.tag", ""),
        "_security": ("meta.security", ""),
        "telecom": ("telecom", ""),
    },
    "Task": {"status": ("status", TASK_STATUS_SYSTEM), "code": ("code", ""), "identifier": ("identifier", "")},
    "CarePlan": {"status": ("status", ""), "category": ("category", "")},
    "Observation": {"code": ("code", ""), "combo-code": ("code component.code", "")},
    "RiskAssessment": {"identifier": ("identifier", "")},
}
STRINGS = {
    "Patient": {
        "name": "name",
        "family": "name.family",
        "given": "name.given",
        "address-city": "address.city",
        "address": "address",
    },
}
DATED = {
    "Patient": {"birthdate": "birthDate"},
    "Task": {"authored-on": "authoredOn", "period": "executionPeriod"},
    "CarePlan": {"date": "period"},
    "Observation": {"date": "effectivePeriod"},
    "RiskAssessment": {"date": "occurrenceDateTime"},
}
AMOUNTS = {
    "Observation": {"value-quantity": "valueQuantity", "component-value-quantity": "component.valueQuantity"},
    "RiskAssessment": {"probability": "prediction.probabilityDecimal prediction.probabilityRange"},
}
REFERENCES = {
    "Patient": {"general-practitioner": ("generalPractitioner", ["Organization", "Practitioner"], "")},
    "Task": {
        "focus": ("focus", ["CarePlan", "Patient"], ""),
        "subject": ("for", ["Patient", "Group"], ""),
        "patient": ("for", ["Patient"], "Patient"),
        "part-of": ("partOf", ["Task"], ""),
    },
    "CarePlan": {"subject": ("subject", ["Patient", "Group"], ""), "patient": ("subject", ["Patient"], "Patient")},
    "Observation": {
        "subject": ("subject", ["Patient", "Group", "Device", "Location"], ""),
        "patient": ("subject", ["Patient"], "Patient"),
    },
    "RiskAssessment": {
        "subject": ("subject", ["Patient", "Group"], ""),
        "patient": ("subject", ["Patient"], "Patient"),
    },
}
TYPES = ("Patient", "Task", "CarePlan", "Observation", "RiskAssessment")
NUMBERS = ["0", "1", "4.9", "5", "5.0", "5.05", "5.1", "100", "99.5", "100.5", "-5", "-0.25", "0.5", "110"]
UNITS = [("http://unitsofmeasure.org", "mg", "milligram"), ("http://unitsofmeasure.org", "g", "g"), ("", "mg", "mg")]


# ---- resources


def generate(seed: int, count: int) -> Stored:
    """Resources of three types that refer to one another, the same for the same seed."""
    rng = random.Random(seed)
    makers = {
        "Patient": _patient,
        "Task": _task,
        "CarePlan": _care_plan,
        "Observation": _observation,
        "RiskAssessment": _risk,
    }
    stored = []
    for number in range(count):
        kind = rng.choice(TYPES)
        made = {"resourceType": kind, "id": f"{kind[0].lower()}{number % 60}-{number}", **makers[kind](rng, stored)}
        if rng.random() < 0.5:
            made["meta"] = _meta(rng)
        if rng.random() < 0.4:
            made["text"] = {"status": "generated", "div": f"<div>{rng.choice(NARRATIVES)}</div>"}
        stored.append(made)
    return stored


def _some(rng: random.Random, **makers: Callable[[], Any]) -> Resource:
    return {name: make() for name, make in makers.items() if rng.random() < 0.6}


def _coding(rng: random.Random) -> Resource:
    named = _some(rng, system=lambda: rng.choice(SYSTEMS), display=lambda: rng.choice(FAMILIES))
    return named | {"code": rng.choice(CODES)}


def _codings(rng: random.Random) -> list[Resource]:
    return [_coding(rng) for _ in range(rng.randint(1, 3))]


def _meta(rng: random.Random) -> Resource:
    profiles = rng.sample(PROFILES, rng.randint(1, 2))
    return _some(rng, tag=lambda: _codings(rng), security=lambda: _codings(rng), profile=lambda: profiles) or {
        "tag": _codings(rng)
    }


def _identifiers(rng: random.Random) -> list[Resource]:
    return [
        _some(
            rng, system=lambda: rng.choice(SYSTEMS), type=lambda: {"coding": _codings(rng), "text": rng.choice(GIVEN)}
        )
        | {"value": rng.choice(CODES)}
        for _ in range(rng.randint(1, 2))
    ]


def _period(rng: random.Random) -> Resource:
    first, second = sorted(rng.sample(DATES[:4] + MORE_DATES[:3], 2), key=oracle.span)
    return rng.choice([{"start": first, "end": second}, {"start": first}, {"end": second}])


def _reference(rng: random.Random, stored: Stored, kinds: list[str]) -> Resource:
    fits = [one for one in stored if one["resourceType"] in kinds]
    if not fits or rng.random() < 0.2:
        return rng.choice(
            [
                {"identifier": {"system": SYSTEMS[0], "value": "one"}},
                {"reference": f"https://there.example/fhir/{kinds[0]}/x"},
                {"reference": "urn:uuid:4f8a2b1c-0000-4000-8000-000000000001"},
                {"reference": "#inside"},
                {"display": "somebody"},
            ]
        )
    one = rng.choice(fits)
    base = f"{one['resourceType']}/{one['id']}"
    return {"reference": rng.choice([base, base, f"{base}/_history/2", f"{HERE}/{base}"])}


def _patient(rng: random.Random, stored: Stored) -> Resource:
    return _some(
        rng,
        identifier=lambda: _identifiers(rng),
        active=lambda: rng.random() < 0.5,
        gender=lambda: rng.choice(["male", "female"]),
        birthDate=lambda: rng.choice(DATES[:4]),
        telecom=lambda: [{"value": "555-1234", "system": "phone"}, {"value": "one"}],
        name=lambda: [
            _some(rng, given=lambda: rng.sample(GIVEN, 2)) | {"family": rng.choice(FAMILIES)}
            for _ in range(rng.randint(1, 2))
        ],
        address=lambda: [{"city": rng.choice(CITIES), "line": ["1 Main St"]}],
        generalPractitioner=lambda: [{"reference": "Organization/o1"}],
    )


def _task(rng: random.Random, stored: Stored) -> Resource:
    return {"status": rng.choice(["draft", "requested"])} | _some(
        rng,
        code=lambda: rng.choice([{"coding": _codings(rng)}, {"text": "in words"}]),
        identifier=lambda: _identifiers(rng),
        authoredOn=lambda: rng.choice(DATES),
        executionPeriod=lambda: _period(rng),
        focus=lambda: _reference(rng, stored, ["CarePlan", "Patient"]),
        **{"for": lambda: _reference(rng, stored, ["Patient"])},
        partOf=lambda: [_reference(rng, stored, ["Task"]) for _ in range(2)],
    )


def _care_plan(rng: random.Random, stored: Stored) -> Resource:
    return {"status": rng.choice(STATUSES), "subject": _reference(rng, stored, ["Patient"])} | _some(
        rng, category=lambda: [{"coding": _codings(rng)} for _ in range(2)], period=lambda: _period(rng)
    )


def _number(rng: random.Random) -> Any:
    return float(text) if "." in (text := rng.choice(NUMBERS)) else int(text)


def _quantity(rng: random.Random) -> Resource:
    system, code, word = rng.choice(UNITS)
    unit = _some(rng, system=lambda: system, code=lambda: code, unit=lambda: word)
    made = {"value": _number(rng)} | {name: text for name, text in unit.items() if text}
    if rng.random() < 0.25:
        made["comparator"] = rng.choice(["<", "<=", ">", ">="])
    return made if rng.random() < 0.9 else {"unit": "no value"}


def _range(rng: random.Random) -> Resource:
    low, high = sorted([_number(rng), _number(rng)])
    return rng.choice([{"low": {"value": low}, "high": {"value": high}}, {"low": {"value": low}}])


def _measured(rng: random.Random) -> Resource:
    made = {"code": {"coding": _codings(rng)}}
    kinds = {
        "valueQuantity": lambda: _quantity(rng),
        "valueCodeableConcept": lambda: {"coding": _codings(rng)},
        "valueString": lambda: rng.choice(FAMILIES),
    }
    kind = rng.choice([*kinds, "valueQuantity", ""])
    return made | {kind: kinds[kind]()} if kind else made


def _observation(rng: random.Random, stored: Stored) -> Resource:
    return {"status": "final", **_measured(rng)} | _some(
        rng,
        subject=lambda: _reference(rng, stored, ["Patient"]),
        effectivePeriod=lambda: _period(rng),
        component=lambda: [_measured(rng) for _ in range(rng.randint(1, 2))],
    )


def _prediction(rng: random.Random) -> Resource:
    return rng.choice([{"probabilityDecimal": _number(rng)}, {"probabilityRange": _range(rng)}, {"rationale": "none"}])


def _risk(rng: random.Random, stored: Stored) -> Resource:
    return {"status": "final", "subject": _reference(rng, stored, ["Patient"])} | _some(
        rng,
        identifier=lambda: _identifiers(rng),
        occurrenceDateTime=lambda: rng.choice(DATES),
        prediction=lambda: [_prediction(rng) for _ in range(rng.randint(1, 2))],
    )
