"""A Binary is as visible as its security context says, and never more."""

import base64
from typing import Any

from tests.live import Client
from tests.security.conftest import Exchange
from tests.security.world import (
    Json,
    attempt,
    care_team,
    changed,
    condition,
    deny,
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

UUID = "5c0e0e4f-6f1d-4e2d-9d3c-0a1b2c3d4e5f"
SECRET = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SEX"}


def binary(client: Client, context: Json | None = None, **more: Any) -> Json:
    data = base64.b64encode(b"a letter").decode()
    of = {"securityContext": to(context)} if context else {}
    return made(client, {"resourceType": "Binary", "contentType": "text/plain", "data": data, **of, **more})


def test_a_binary_is_seen_with_its_context(exchange: Exchange) -> None:
    """L16, R4 Binary: relations, labels and consents of the context hold; without one it is its owner's alone."""
    plan, clinic, pantry, stranger = exchange.plan, exchange.clinic, exchange.pantry, exchange.stranger
    person = patient(plan)
    team = care_team(plan, person, clinic)
    finding = condition(plan, person)
    letter, of_person, bare = binary(plan, finding), binary(plan, person), binary(plan)
    mine = binary(clinic, finding)
    assert [sees(clinic, one) for one in (letter, of_person, bare, mine)] == [True, True, False, True]
    assert [sees(plan, one) for one in (letter, bare)] == [True, True]
    assert not any(sees(who, one) for who in (stranger, pantry) for one in (letter, of_person, bare, mine))
    found = clinic.get(f"Binary?security-context={name_of(finding)}").json()
    assert {one["resource"]["id"] for one in found["entry"]} == {letter["id"], mine["id"]}
    task(plan, person, request(plan, person), owner=organization(pantry), input=listed(of_person))
    assert [sees(pantry, one) for one in (letter, of_person)] == [False, True]
    changed(plan, finding, meta={**finding["meta"], "security": [SECRET]})
    assert [sees(clinic, one) for one in (letter, of_person, mine)] == [False, True, True]
    assert not sees(clinic, binary(plan, finding))
    deny(plan, person, clinic)
    assert not sees(clinic, of_person)
    changed(plan, team, status="inactive")
    assert sees(clinic, mine)
    assert clinic.get(f"Binary?security-context={name_of(finding)}").json()["total"] == 1


def test_a_context_is_no_way_in(exchange: Exchange) -> None:
    """L12, R12: a hidden context is an absent one; whose record a Binary is stays; its owner goes on writing it."""
    plan, clinic, stranger = exchange.plan, exchange.clinic, exchange.stranger
    person, other = patient(plan), patient(plan, "Other")
    team = care_team(plan, person, clinic)
    refused = [
        stranger.post("Binary", {"resourceType": "Binary", "contentType": "text/plain", "securityContext": to(one)})
        for one in (person, f"Patient/{'0' * len(person['id'])}")
    ]
    assert [one.status_code for one in refused] == [422, 422]
    texts = [one.text.replace(person["id"], "*").replace("0" * len(person["id"]), "*") for one in refused]
    assert texts[0] == texts[1]
    letter = binary(plan, person)
    assert attempt(plan, letter, securityContext=to(other)).status_code == 422
    assert attempt(plan, letter, securityContext=None).status_code == 422
    mine = binary(clinic, person)
    changed(plan, team, status="inactive")
    again = changed(clinic, mine, contentType="text/html")
    assert again["contentType"] == "text/html"
    assert sees(plan, again) is sees(plan, mine)


def test_a_transaction_writes_both(exchange: Exchange) -> None:
    """B-59: a Binary whose context stands in the same Bundle, before or behind it."""
    plan, clinic = exchange.plan, exchange.clinic
    person = patient(plan)
    care_team(plan, person, clinic)
    finding = {"resourceType": "Condition", "subject": to(person), "code": {"text": "Asthma"}}
    letter = {
        "resourceType": "Binary",
        "contentType": "text/plain",
        "securityContext": {"reference": f"urn:uuid:{UUID}"},
    }
    entries = [
        {"resource": letter, "request": {"method": "POST", "url": "Binary"}},
        {"fullUrl": f"urn:uuid:{UUID}", "resource": finding, "request": {"method": "POST", "url": "Condition"}},
    ]
    answer = plan.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert answer.status_code == 200, answer.text
    assert sees(clinic, answer.json()["entry"][0]["resource"])
