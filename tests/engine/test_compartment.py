"""Whose record a resource is, for every type of R4's Patient compartment."""

from typing import Any

import pytest

from fhir_server.engine.compartment import PatientFinder
from fhir_server.fhir.definitions import load

DEFINITIONS = load()
FINDER = PatientFinder(DEFINITIONS)
HIM, HER = {"reference": "Patient/him"}, {"reference": "Patient/her"}
IN_COMPARTMENT = sorted(type_ for type_, codes in DEFINITIONS.compartment("Patient").items() if codes)


def nested(path: tuple[str, ...], leaf: Any, type_: str) -> dict[str, Any]:
    """A resource with this at that path; what repeats is a list."""
    value, trail = leaf, list(path)
    while trail:
        element = DEFINITIONS.element(".".join((type_, *trail)))
        name = trail.pop()
        value = {name: [value] if element and element.max != "1" else value}
    return {"resourceType": type_, **value}


@pytest.mark.parametrize("type_", IN_COMPARTMENT)
def test_every_way_by_which_a_type_belongs_to_a_patient(type_: str) -> None:
    """R4's compartment definition: each of its search parameters' paths leads to the patient."""
    if type_ == "Patient":
        assert FINDER.find("Patient", "him", {}) == "Patient/him"
        return
    paths = FINDER._paths[type_]
    assert paths, type_
    for path in paths:
        assert FINDER.find(type_, "x", nested(path, HIM, type_)) == "Patient/him", path


def test_no_path_of_the_compartment_is_missed() -> None:
    """Each simple part of each expression is read; what is left out is named here."""
    left_out = set()
    for type_ in IN_COMPARTMENT:
        params = DEFINITIONS.search_params(type_)
        for code in DEFINITIONS.compartment("Patient")[type_]:
            if code not in params:
                left_out.add((type_, code))
                continue
            own = [
                part.strip() for part in params[code].expression.split("|") if part.strip().strip("(").startswith(type_)
            ]
            known = {".".join(path) for path in FINDER._paths[type_]}
            left_out |= {
                (type_, code) for part in own if part.strip("()").split(".", 1)[1].split(".where")[0] not in known
            }
    assert {pair for pair in left_out if pair[0] != "Patient"} <= {("Group", "member")}


@pytest.mark.parametrize(
    ("type_", "resource", "expected"),
    [
        ("Task", {"for": HIM}, "Patient/him"),
        ("Task", {"for": HIM, "owner": HER}, "Patient/him"),
        ("Provenance", {"target": [HIM, {"reference": "Condition/x"}]}, "Patient/him"),
        ("Provenance", {"target": [HIM, HER]}, None),
        ("Observation", {"subject": {"reference": "Group/g"}}, None),
        ("Observation", {"subject": {"reference": "Patient/him/_history/3"}}, "Patient/him"),
        ("Observation", {"subject": {"reference": "https://elsewhere.example/fhir/Patient/him"}}, None),
        ("Observation", {"subject": {"reference": "#contained"}}, None),
        ("Observation", {"subject": HIM, "performer": [HIM]}, "Patient/him"),
        ("Observation", {"subject": HIM, "performer": [HER]}, None),
        ("Coverage", {"beneficiary": HIM, "payor": [{"reference": "Organization/x"}]}, "Patient/him"),
        ("Coverage", {"beneficiary": HIM, "policyHolder": HER}, None),
        ("Organization", {"name": "x"}, None),
        ("Binary", {"securityContext": HIM}, None),
        ("Observation", {}, None),
    ],
)
def test_one_patient_or_none(type_: str, resource: dict[str, Any], expected: str | None) -> None:
    """With several patients a resource is nobody's record: its owner and shares alone reach it."""
    assert FINDER.find(type_, "x", resource) == expected
