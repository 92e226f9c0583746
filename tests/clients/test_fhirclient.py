"""A day of work through fhirclient, unchanged.  https://github.com/smart-on-fhir/client-py"""

from typing import Any

import pytest
from fhirclient.models.careplan import CarePlan
from fhirclient.models.goal import Goal
from fhirclient.models.patient import Patient
from fhirclient.models.servicerequest import ServiceRequest
from fhirclient.models.task import Task
from fhirclient.server import FHIRNotFoundException, FHIRServer
from requests import HTTPError

from fhir_server.ecm import vocabulary as words
from tests.clients.conftest import Day
from tests.ecm.referral import OUTPUT, request, task


def _server(day: Day, token: str) -> Any:
    server = FHIRServer(None, base_uri=day.base)
    server.session.headers["Authorization"] = f"Bearer {token}"
    return server


def test_a_day_of_work(day: Day) -> None:
    """Find a member, set a goal, write a plan, refer; the pantry moves the Task by PUT with If-Match."""
    provider, pantry = _server(day, day.provider), _server(day, day.pantry)
    assert provider.get_capability is not None
    found = list(Patient.where({"identifier": f"{words.CIN}|{day.cins[1]}"}).perform_resources_iter(provider))
    person = found[0].id
    assert Patient.read(person, provider).birthDate.isostring == "1984-05-02"

    goal = Goal(_goal(person))
    assert goal.create(provider)["resourceType"] == "Goal"
    plan = CarePlan(_care_plan(person))
    stored = plan.create(provider)
    plans = CarePlan.where({"patient": person}).perform_resources_iter(provider)
    assert [one.id for one in plans] == [stored["id"]]

    focus = ServiceRequest(request(person, "clinic")).create(provider)["id"]
    made = Task(task(person, focus, "clinic", "pantry")).create(provider)["id"]
    for status, more in (("accepted", {}), ("in-progress", {}), ("completed", {"output": OUTPUT})):
        now = Task.read(made, pantry)
        pantry.session.headers["If-Match"] = f'W/"{now.meta.versionId}"'
        moved = Task({**now.as_json(), "status": status, **more})
        moved.update(pantry)
        del pantry.session.headers["If-Match"]
    assert Task.read(made, provider).status == "completed"


def test_refusals_are_exceptions_of_the_client(day: Day) -> None:
    """404 for what is hidden; 412 for a Task moved without If-Match."""
    pantry = _server(day, day.pantry)
    with pytest.raises(FHIRNotFoundException):
        Patient.read(day.world.member(day.world.clinic, 703)["id"], pantry)
    person = day.world.member(day.world.clinic, 703)["id"]
    focus = ServiceRequest(request(person, "clinic")).create(_server(day, day.provider))["id"]
    made = Task(task(person, focus, "clinic", "pantry")).create(_server(day, day.provider))["id"]
    with pytest.raises(HTTPError, match="412"):
        Task.read(made, pantry).update(pantry)


def _goal(person: str) -> dict[str, Any]:
    return {
        "resourceType": "Goal", "lifecycleStatus": "active", "subject": {"reference": f"Patient/{person}"},
        "description": {"text": "A place to live"}, "startDate": "2026-11-02",
    }  # fmt: skip


def _care_plan(person: str) -> dict[str, Any]:
    us_core = "http://hl7.org/fhir/us/core/CodeSystem/careplan-category"
    return {
        "resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": {"reference": f"Patient/{person}"},
        "category": [
            {"coding": [{"system": us_core, "code": "assess-plan"}]},
            {"coding": [{"system": words.CARE_PLAN_CATEGORIES, "code": "ecm-care-plan"}]},
        ],
    }  # fmt: skip
