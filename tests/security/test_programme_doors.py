"""Attacks on the programme's newer doors: malformed extensions, stories, answers for others, steps, files, purges."""

from typing import Any

import pytest

from fhir_server.ecm import vocabulary as words
from tests.live import Client
from tests.security.conftest import Exchange
from tests.security.world import (
    Json,
    care_team,
    condition,
    listed,
    made,
    name_of,
    organization,
    patient,
    request,
    sees,
    task,
    task_body,
    to,
)  # fmt: skip

pytestmark = pytest.mark.heavy

VALUES: list[Json] = [
    {"valueString": "x"},
    {"valueBoolean": True},
    {"extension": [{"url": "x", "valueString": "x"}]},
    {"extension": [{"url": "replaces", "valueString": "x"}, {"url": "reason", "valueString": "x"}]},
    {"extension": [{"url": "by", "valueBoolean": True}, {"url": "channel", "valueString": "x"}]},
]


def extensions() -> list[Json]:
    urls = [value for value in vars(words).values() if isinstance(value, str) and "/StructureDefinition/" in value]
    return [{"url": url, **value} for url in sorted(set(urls)) for value in VALUES]


def answered(client: Client, body: Json) -> Any:
    answer = client.post(body["resourceType"], body)
    assert answer.status_code < 500, answer.text
    return answer


def test_an_extension_of_another_shape_breaks_nothing(exchange: Exchange) -> None:
    """Rows 36-46: the programme's own extensions, written as something else, are refused or harmless everywhere."""
    plan, pantry = exchange.plan, exchange.pantry
    person = patient(plan)
    asked = request(plan, person)
    bodies: list[Json] = []
    for number, one in enumerate(extensions()):
        focus = asked if number % 2 else None
        bodies.append(task_body(plan, person, focus, owner=organization(pantry), extension=[one]))
    bodies.append({"resourceType": "Patient", "name": [{"family": "A"}], "extension": extensions()})
    bodies.append({**task_body(plan, person, asked), "requester": None, "status": "draft", "intent": "plan"})
    entries = [
        {"resource": {name: value for name, value in body.items() if value is not None},
         "request": {"method": "POST", "url": body["resourceType"]}} for body in bodies
    ]  # fmt: skip
    for first in range(0, len(entries), 100):
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries[first : first + 100]}
        found = plan.post("", bundle).json()["entry"]
        assert {one["response"]["status"][0] for one in found} <= {"2", "4"}
    for door in (
        f"{name_of(asked)}/$referral-story",
        f"{name_of(asked)}/$referral-story?format=html",
        "Task/$clr-data-set?period=2026-11&format=csv",
        f"{name_of(person)}/$everything",
        "Task?_count=200",
    ):
        answer = plan.get(door, headers={"Accept": "*/*"})
        assert answer.status_code < 500, (door, answer.text)


def test_a_story_tells_no_more_than_its_tasks(exchange: Exchange) -> None:
    """L7: who sees the request alone learns of no attempt; who sees one attempt learns of that one."""
    plan, clinic, pantry, stranger = exchange.plan, exchange.clinic, exchange.pantry, exchange.stranger
    person = patient(plan)
    asked = request(plan, person)
    mine = task(plan, person, asked, owner=organization(pantry), description="for the pantry")
    other = task(plan, person, asked, owner=organization(stranger), description="for the stranger",
                 extension=[{"url": words.PARALLEL_REFERRAL_REASON, "valueString": "two are needed"}])  # fmt: skip
    told = pantry.get(f"{name_of(asked)}/$referral-story")
    assert told.status_code == 200, told.text
    assert mine["id"] in told.text
    assert other["id"] not in told.text
    assert "Organization/stranger" not in told.text
    assert clinic.get(f"{name_of(asked)}/$referral-story").status_code == 404


def test_nobody_answers_for_others(exchange: Exchange) -> None:
    """L23: $record-answer is for the requester and the plan, and for organizations without a client alone."""
    plan, clinic, pantry, stranger = exchange.plan, exchange.clinic, exchange.pantry, exchange.stranger
    person = patient(plan)
    care_team(plan, person, clinic)
    sent = task(plan, person, request(plan, person), owner=organization(pantry))
    said = {"status": "accepted", "by": "somebody", "channel": "telephone", "at": "2026-01-15"}
    kinds = {"status": "valueCode", "by": "valueString", "channel": "valueCode", "at": "valueDateTime"}
    body = {"resourceType": "Parameters", "parameter": [{"name": n, kinds[n]: v} for n, v in said.items()]}
    statuses = {who.id: who.post(f"{name_of(sent)}/$record-answer", body).status_code
                for who in (clinic, pantry, stranger, plan)}  # fmt: skip
    assert statuses == {"clinic": 422, "pantry": 422, "stranger": 404, "plan": 422}
    assert plan.get(name_of(sent)).json() == sent


def test_files_of_another_plan_are_absent(exchange: Exchange) -> None:
    """L9: confirming, withdrawing, recalling: the same bytes for another's file as for none; 403 without the right."""
    rival = exchange.server.client("rival-loader", organization="Organization/rival", rights="assign")
    number = "0" * 36
    for operation in ("confirm-file", "withdraw-file", "recall-file"):
        body = {"resourceType": "Parameters", "parameter": [{"name": "job", "valueString": number}]}
        answers = [who.post(f"Group/${operation}", body) for who in (rival, exchange.clinic)]
        assert [one.status_code for one in answers] == [404, 403], answers[0].text
    assert exchange.clinic.get("Group/$parked-rows", headers={"Accept": "*/*"}).text.count("\n") <= 1


def test_a_purge_is_for_who_has_the_right_and_owns(exchange: Exchange) -> None:
    """R12: without the right 403; with it, another's member is absent or not one's own; what others wrote stays."""
    plan, clinic = exchange.plan, exchange.clinic
    person = patient(plan)
    care_team(plan, person, clinic)
    theirs = condition(clinic, person)
    purger = exchange.server.client("purger", organization="Organization/clinic", rights="purge")
    outsider = exchange.server.client("outsider-purger", organization="Organization/stranger", rights="purge")
    door = f"{name_of(person)}/$purge"
    assert clinic.post(door, b"").status_code == 403
    assert outsider.post(door, b"").status_code == 404
    assert purger.post(door, b"").status_code == 422
    assert sees(plan, person)
    own = exchange.server.client("plan-purger", organization="Organization/plan", rights="purge")
    assert own.post(door, b"").status_code in {200, 204}
    assert not sees(plan, person)
    assert sees(clinic, theirs)


def test_documents_and_matches_hold_what_is_seen(exchange: Exchange) -> None:
    """L7, L11: a hidden finding is in no document and no record; nobody is matched that cannot be read."""
    plan, clinic, stranger = exchange.plan, exchange.clinic, exchange.stranger
    person = patient(plan, "Unmatched", birthDate="1980-01-02", gender="female")
    care_team(plan, person, clinic)
    secret = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SEX"}]}
    hidden, shown = condition(plan, person, text="hidden-finding", meta=secret), condition(plan, person)
    care_plan = made(plan, {"resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": to(person),
                            "addresses": [to(hidden), to(shown)]})  # fmt: skip
    for door in (f"{name_of(care_plan)}/$document", f"{name_of(person)}/$everything", f"{name_of(person)}/_history"):
        answer = clinic.get(door)
        assert answer.status_code == 200, (door, answer.text)
        assert "hidden-finding" not in answer.text
        assert stranger.get(door).status_code == 404
    described = {"resourceType": "Patient", "name": [{"family": "Unmatched"}], "birthDate": "1980-01-02"}
    body = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": described}]}
    assert clinic.post("Patient/$match", body).json()["entry"]
    assert person["id"] not in stranger.post("Patient/$match", body).text
    task(plan, person, None, owner=organization(exchange.pantry), input=listed(shown))
    assert "hidden-finding" not in exchange.pantry.get(f"{name_of(person)}/$everything").text
