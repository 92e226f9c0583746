"""The contact view of a Patient (SD-08, L8): what is needed to reach somebody, and nothing that tells more."""

import json

import pytest

from fhir_server.access.classes import HOUSE, SENS, SUD2, UNKNOWN
from fhir_server.access.contact import contact_labels, contact_view
from fhir_server.validation import structure

CANARY = "CANARY"
WHOLE = {
    "resourceType": "Patient",
    "id": "p",
    "meta": {"profile": [CANARY], "security": [{"system": CANARY, "code": CANARY}]},
    "text": {"status": "generated", "div": CANARY},
    "extension": [{"url": CANARY, "valueString": CANARY}],
    "identifier": [{"system": CANARY, "value": CANARY}],
    "active": True,
    "name": [
        {"use": "official", "family": "Ruiz", "given": ["Ana", None], "extension": [{"url": CANARY}]},
        {"use": "old", "family": CANARY},
        {"use": "maiden", "family": CANARY},
    ],
    "telecom": [
        {"system": "phone", "value": "555-0100", "rank": 1},
        {"system": "phone", "value": CANARY, "period": {"end": "2020"}},
    ],
    "gender": "female",
    "birthDate": "1980-02-03",
    "deceasedDateTime": "2026-01-01",
    "address": [
        {"use": "temp", "line": ["Shelter"], "city": "Fresno", "period": {"start": "2026-01-01", "end": "2026-12-31"}},
        {"use": "old", "line": [CANARY]},
    ],
    "maritalStatus": {"text": CANARY},
    "photo": [{"title": CANARY}],
    "contact": [
        {
            "relationship": [{"coding": [{"system": "urn:s", "code": "N", "userSelected": True}]}],
            "name": {"family": "Ruiz"},
            "telecom": [{"system": "phone", "value": "555-0101"}],
            "gender": CANARY,
            "address": {"line": [CANARY]},
            "organization": {"reference": CANARY},
        },
        {"name": {"family": CANARY}, "period": {"end": "2021-01-01"}},
        {"organization": {"reference": CANARY}},
    ],
    "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "es"}]}, "preferred": True}, {}],
    "generalPractitioner": [{"reference": CANARY}],
    "managingOrganization": {"reference": CANARY},
    "link": [{"other": {"reference": CANARY}, "type": "seealso"}],
}


def test_the_view_holds_contact_data_alone():
    assert contact_view(WHOLE, "2026-06-01") == {
        "resourceType": "Patient",
        "id": "p",
        "active": True,
        "birthDate": "1980-02-03",
        "deceasedBoolean": True,
        "name": [{"use": "official", "family": "Ruiz", "given": ["Ana"]}],
        "telecom": [{"system": "phone", "value": "555-0100", "rank": 1}],
        "address": [{"use": "temp", "line": ["Shelter"], "city": "Fresno"}],
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "es"}]}, "preferred": True}],
        "contact": [
            {
                "relationship": [{"coding": [{"system": "urn:s", "code": "N"}]}],
                "name": {"family": "Ruiz"},
                "telecom": [{"system": "phone", "value": "555-0101"}],
            }
        ],
    }


def test_nothing_else_gets_through():
    """0 foreign canaries: identifiers, extensions, narrative, labels, former names."""
    assert CANARY not in json.dumps(contact_view(WHOLE, "2026-06-01"))


def test_it_is_a_valid_patient():
    structure.check("Patient", contact_view(WHOLE, "2026-06-01"))
    structure.check("Patient", contact_view({"resourceType": "Patient"}))


@pytest.mark.parametrize(("today", "kept"), [("", 1), ("2026-12-31", 1), ("2027-01-01", 0)])
def test_an_address_lasts_to_the_end_of_its_last_day(today, kept):
    assert len(contact_view(WHOLE, today).get("address", [])) == kept


def test_the_whole_is_left_alone():
    before = json.dumps(WHOLE)
    contact_view(WHOLE)
    assert json.dumps(WHOLE) == before


def test_labels_of_what_is_kept_and_of_the_whole_as_stated():
    """R17, line 33: a code list that speaks of what was left out does not count, a stated label does."""
    code = {"system": "urn:list", "code": "homeless"}
    patient = {"resourceType": "Patient", "extension": [{"url": "urn:x", "valueCoding": code}]}

    def membership(system: str, code: str) -> int:
        return HOUSE if (system, code) == ("urn:list", "homeless") else 0

    assert contact_labels(patient, source_is_part2=False, membership=membership) == 0
    assert contact_labels(patient, source_is_part2=True, membership=membership) == SUD2
    violence = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SDV"}
    assert contact_labels({**patient, "meta": {"security": [violence]}}, source_is_part2=False) == SENS
    assert contact_labels(WHOLE, source_is_part2=False) == UNKNOWN
