"""Labels follow codes and what a resource speaks of, and never sink (R12, R17, L25)."""

from typing import Any

import pytest

from fhir_server.access.classes import BH, HIV, SENS, SUD2
from tests.security.conftest import Exchange
from tests.security.world import (
    Json,
    care_team,
    changed,
    condition,
    listed,
    made,
    name_of,
    organization,
    patient,
    request,
    sees,
    task,
    to,
)  # fmt: skip

ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
INTIMATE = {"security": [{"system": ACT, "code": "SEX"}]}


def coded(code: str, system: str = ICD10) -> Json:
    return {"code": {"coding": [{"system": system, "code": code}]}}


LISTED = {"F32.9": BH, "B20": HIV, "Z30.012": SENS, "F11.20": SUD2, "J45": 0, "Z59.41": 0, "F17.210": 0}


def test_codes_in_the_lists_stand_for_classes(exchange: Exchange) -> None:
    """R17: each class by its value set; without a system, or in another one, a code says nothing."""
    lists = exchange.server.engine.hooks.membership
    assert {code: lists(ICD10, code) for code in LISTED} == LISTED
    assert {lists(system, code) for code in LISTED for system in ("", "urn:other")} == {0}


def test_a_code_narrows_who_sees_it(exchange: Exchange) -> None:
    """R7, R17: a community organization gets no diagnosis of a listed class; intimate ones stay with their author."""
    plan, clinic, pantry = exchange.plan, exchange.clinic, exchange.pantry
    person = patient(plan)
    care_team(plan, person, clinic)
    found = {code: condition(plan, person, **coded(code)) for code in ("J45", "F32.9", "B20", "Z30.012", "F11.20")}
    task(plan, person, request(plan, person), owner=organization(pantry), input=listed(*found.values()))
    assert {code for code, one in found.items() if sees(plan, one)} == set(found)
    assert {code for code, one in found.items() if sees(clinic, one)} == {"J45", "F32.9", "B20", "F11.20"}
    assert {code for code, one in found.items() if sees(pantry, one)} == {"J45", "F11.20"}


def test_a_substance_use_code_of_an_unknown_source_is_a_part_2_record(exchange: Exchange) -> None:
    """R17: registered as no Part 2 program: ordinary. Registered by nobody: it may be one."""
    plan, clinic = exchange.plan, exchange.clinic
    person = patient(plan)
    care_team(plan, person, clinic)
    unknown = made(plan, {"resourceType": "Organization", "name": "Somewhere"})

    def finding(code: str, *performers: Json) -> Json:
        body = {"resourceType": "Observation", "status": "final", "subject": to(person), **coded(code)}
        return made(plan, {**body, **({"performer": list(performers)} if performers else {})})

    assert sees(clinic, finding("F11.20", organization(clinic)))
    assert sees(clinic, finding("J45", to(unknown)))
    assert not sees(clinic, finding("F11.20", to(unknown)))
    assert not sees(clinic, finding("F11.20", organization(clinic), to(unknown)))


@pytest.mark.parametrize("way", ["update", "meta"])
def test_what_speaks_of_a_resource_rises_with_it(exchange: Exchange, way: str) -> None:
    """L25: a Provenance written before its target was labelled is hidden with it; one that speaks of others is not."""
    plan, clinic = exchange.plan, exchange.clinic
    person = patient(plan)
    care_team(plan, person, clinic)
    target, other = condition(plan, person), condition(plan, person)
    about, elsewhere = (provenance(exchange, one, person) for one in (target, other))
    assert sees(clinic, about)
    assert sees(clinic, elsewhere)
    if way == "update":
        changed(plan, target, meta={**target["meta"], **INTIMATE})
    else:
        meta = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": INTIMATE}]}
        assert plan.post(f"{name_of(target)}/$meta-add", meta).status_code == 200
    assert not sees(clinic, target)
    assert not sees(clinic, about)
    assert sees(plan, about)
    assert sees(clinic, elsewhere)
    assert clinic.get(f"Provenance?target={name_of(target)}&_summary=count").json()["total"] == 0
    assert not sees(clinic, provenance(exchange, target, person))


def provenance(exchange: Exchange, *targets: Json) -> Json:
    agent = {"who": organization(exchange.plan)}
    body: Json = {"resourceType": "Provenance", "recorded": "2026-01-15T00:00:00Z", "agent": [agent]}
    return made(exchange.plan, {**body, "target": [to(target) for target in targets]})


def test_a_contact_view_keeps_its_labels_through_death(exchange: Exchange) -> None:
    """R12: who was labelled, deleted and entered again without the label is not shown to a community organization."""
    plan, pantry = exchange.plan, exchange.pantry
    person = patient(plan)
    task(plan, person, request(plan, person), owner=organization(pantry))
    assert sees(pantry, person)
    hiv = {"security": [{"system": ACT, "code": "HIV"}]}
    changed(plan, person, meta={**person["meta"], **hiv})
    assert not sees(pantry, person)
    assert plan.delete(name_of(person)).status_code == 204
    assert pantry.get(name_of(person)).status_code == 404  # not 410: it never may be told
    again: Any = plan.put(name_of(person), {"resourceType": "Patient", "id": person["id"], "name": person["name"]})
    assert again.status_code in {200, 201}, again.text
    assert not sees(pantry, person)
    changed(plan, again.json(), active=True)
    assert not sees(pantry, person)
    assert pantry.get(f"Patient?_id={person['id']}&_summary=count").json()["total"] == 0
