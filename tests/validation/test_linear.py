"""What a client may send in one body is checked in time that grows with its length alone (B-18, P14)."""

import time

import pytest

from fhir_server.validation import structure
from tests.validation.test_profile import URL, profile, validator

MANY = 9000
FLAG = "https://example.org/StructureDefinition/flag"
OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
NAMES = [{"family": str(n), "extension": [{"url": FLAG, "valueBoolean": True}]} for n in range(MANY)]


def own_codes():
    """obs-7: each code of the observation against each code of its components."""
    codings = [{"system": "urn:a", "code": str(n)} for n in range(MANY)]
    parts = [{"code": {"coding": [{"system": "urn:b", "code": str(n)}]}, "valueString": "x"} for n in range(MANY)]
    return {**OBSERVATION, "code": {"coding": codings}, "component": parts, "valueString": "x"}, []


def chain():
    """Each contained resource leads to the next one twice, and each must keep the profile."""
    inner = [{**OBSERVATION, "id": str(n), "hasMember": [{"reference": f"#{n + 1}"}] * 2} for n in range(MANY)]
    kinds = [{"code": "Reference", "targetProfile": [URL]}]
    resource = {**OBSERVATION, "contained": [*inner, {**OBSERVATION, "id": str(MANY)}]}
    return resource | {"hasMember": [{"reference": "#0"}]}, [
        profile("Observation", {"id": "Observation.hasMember", "type": kinds})
    ]


def entries():
    """As many references as entries, each to another entry."""
    kinds = [{"code": "Reference", "targetProfile": [URL]}]
    resources = [
        {**OBSERVATION, "meta": {"profile": [URL]}, "hasMember": [{"reference": f"Observation/{(n * 7) % MANY}"}]}
        for n in range(MANY)
    ]
    rows = [
        {"fullUrl": f"https://example.org/Observation/{n}", "resource": one}
        for n, one in enumerate(resources)
    ]  # fmt: skip
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": rows}
    return bundle, [profile("Observation", {"id": "Observation.hasMember", "type": kinds})]


def contexts():
    """The path of a context leads past every name, and every name has the extension."""
    context = [{"type": "fhirpath", "expression": "Patient.name.where(use = 'old')"}]
    flag = profile("Extension", url=FLAG, context=context)
    return {"resourceType": "Patient", "name": NAMES}, [flag]


def different():
    rules = [
        {"key": f"t-{n}", "severity": "error", "human": "Different", "expression": text}
        for n, text in enumerate(("name.family.isDistinct()", "name.all(%resource.name.family.exists())"))
    ]
    return {"resourceType": "Patient", "name": NAMES}, [profile("Patient", {"id": "Patient", "constraint": rules})]


@pytest.mark.parametrize("made", [own_codes, chain, entries, contexts, different])
def test_time_grows_with_length_alone(tmp_path, made):
    """A product of two lengths would take ten times as long as is allowed here."""
    resource, definitions = made()
    checker = validator(tmp_path, *definitions)
    required = [URL] if definitions and resource["resourceType"] != "Bundle" and made is not contexts else []
    started = time.process_time()
    structure.check(resource["resourceType"], resource)
    issues = checker.check(resource["resourceType"], resource, required)
    assert time.process_time() - started < 3
    assert {one.code for one in issues} <= {"extension"}
