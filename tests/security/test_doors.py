"""Doors beside the front door: history of a contact view, matches, patches, and what holds up everybody else."""

import time

import pytest

from tests.security.conftest import Exchange
from tests.security.world import (
    attempt,
    care_team,
    changed,
    made,
    name_of,
    organization,
    patient,
    request,
    sees,
    task,
    to,
)

pytestmark = pytest.mark.heavy


def test_a_contact_view_has_no_past(exchange: Exchange) -> None:
    """SD-08: where a member lived before, or by which name, is not read from older versions of the contact view."""
    plan, pantry = exchange.plan, exchange.pantry
    person = patient(plan, "Before", address=[{"line": ["shelter"]}])
    person = changed(plan, person, name=[{"family": "After"}], address=[{"line": ["12 Elm St"]}])
    task(plan, person, request(plan, person), owner=organization(pantry))
    assert sees(pantry, person)
    history = pantry.get(f"{name_of(person)}/_history")
    assert history.status_code == 200
    assert [entry["resource"]["name"][0]["family"] for entry in history.json()["entry"]] == ["After"]
    assert pantry.get(f"{name_of(person)}/_history/1").status_code == 404
    assert pantry.get(f"{name_of(person)}/_history/2").status_code == 200
    assert "shelter" in plan.get(f"{name_of(person)}/_history/1").text


def test_what_a_condition_matches_is_audited(exchange: Exchange) -> None:
    """A body that If-None-Exist hands out is a disclosure like any other, and wants the scope to search."""
    plan = exchange.plan
    person = patient(plan, identifier=[{"system": "urn:numbers", "value": "1"}])
    criteria = {"If-None-Exist": "identifier=urn:numbers|1"}
    answer = plan.post("Patient", {"resourceType": "Patient"}, headers=criteria)
    assert (answer.status_code, answer.json()["id"]) == (200, person["id"])
    exchange.server.engine.reads.drain()
    events = exchange.rows("SELECT entities FROM audit WHERE interaction = 'create' AND outcome = 200")
    assert any(person["id"].encode() in bytes(event[0]) for event in events)
    blind = exchange.server.client("blind", "Organization/plan", scopes="system/Patient.c")
    assert blind.post("Patient", {"resourceType": "Patient"}, headers=criteria).status_code == 403


def test_a_patch_reads_nothing_without_the_scope(exchange: Exchange) -> None:
    """R1: who may only update is not shown what it did not send."""
    person = patient(exchange.plan, "Secretname")
    writer = exchange.server.client("writer", "Organization/plan", scopes="system/Patient.u")
    answer = writer.patch(name_of(person), [{"op": "add", "path": "/active", "value": True}])
    assert answer.status_code == 200
    assert "Secretname" not in answer.text
    both = exchange.server.client("both", "Organization/plan", scopes="system/Patient.ru")
    answer = both.patch(name_of(person), [{"op": "replace", "path": "/active", "value": False}])
    assert "Secretname" in answer.text


def test_a_long_patch_is_refused_in_time(exchange: Exchange) -> None:
    """Row 66: operations that go through a long resource again and again."""
    stranger = exchange.stranger
    person = patient(stranger)
    steps = [{"op": "add", "path": "/name", "value": [{"family": "x"}] * 100_000}]
    steps += [{"op": "add", "path": "/name/-", "value": {"family": "y"}}] * 900
    begun = time.process_time()
    assert stranger.patch(name_of(person), steps).status_code == 413
    assert time.process_time() - begun < 20
    assert stranger.get(name_of(person)).json()["meta"]["versionId"] == "1"


def test_a_care_team_of_very_many_spans(exchange: Exchange) -> None:
    """T29: one CareTeam of many overlapping spans does not hold the database; it is refused, and fewer are quick."""
    stranger, plan = exchange.stranger, exchange.plan
    person = patient(stranger)
    spans = [
        {"member": organization(plan), "period": {"start": f"2020-01-{1 + n // 60:02}T10:{n % 60:02}:00Z"}}
        for n in range(1500)
    ]
    body = {"resourceType": "CareTeam", "status": "active", "subject": to(person), "participant": spans}
    refused = stranger.post("CareTeam", body)
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (422, "business-rule")
    begun = time.process_time()
    for place in range(0, 1400, 200):
        made(stranger, {**body, "participant": spans[place : place + 200]})
    assert sees(plan, person)
    assert time.process_time() - begun < 15


def test_a_stranger_changes_nothing_it_sees(exchange: Exchange) -> None:
    """R12: a care team member, not assigned, sees the plan's record and changes none of it."""
    plan, clinic = exchange.plan, exchange.clinic
    person = patient(plan)
    team = care_team(plan, person, clinic)
    for resource, change in ((person, {"gender": "male"}), (team, {"participant": [{"member": to(person)}]})):
        assert attempt(clinic, resource, **change).status_code == 422
        assert clinic.delete(name_of(resource)).status_code == 422
        step = {"op": "add", "path": "/language", "value": "en"}
        assert clinic.patch(name_of(resource), [step]).status_code == 422
        assert plan.get(name_of(resource)).json()["meta"]["versionId"] == "1"
