"""Who may hide what: a label that is stated is its owner's word; what codes and sources say counts whoever writes."""

import json
from collections.abc import Callable
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

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
INTIMATE = {"system": ACT, "code": "SEX"}
UNKNOWN = {"system": "urn:nobody-knows", "code": "x"}
SENSITIVE = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "A50"}
LABELS = [INTIMATE, UNKNOWN]

Attack = Callable[[Client, Json, Json], Any]


def _put(who: Client, target: Json, label: Json) -> Any:
    return attempt(who, target, meta={**target["meta"], "security": [label]})


def _tag(target: Json) -> Json:
    return {"If-Match": f'W/"{target["meta"]["versionId"]}"'}


def _json_patch(who: Client, target: Json, label: Json) -> Any:
    step = {"op": "add", "path": "/meta/security", "value": [label]}
    return who.patch(name_of(target), [step], headers=_tag(target))


def _fhirpath_patch(who: Client, target: Json, label: Json) -> Any:
    path = f"{target['resourceType']}.meta"
    said = {"type": "Code", "path": "String", "name": "String"}
    values = {"type": "add", "path": path, "name": "security"}
    parts: list[Json] = [{"name": name, f"value{said[name]}": value} for name, value in values.items()]
    operation = {"name": "operation", "part": [*parts, {"name": "value", "valueCoding": label}]}
    body = {"resourceType": "Parameters", "parameter": [operation]}
    return who.request(
        "PATCH", name_of(target), body, headers={"Content-Type": "application/fhir+json", **_tag(target)}
    )


def _meta_add(who: Client, target: Json, label: Json) -> Any:
    body = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"security": [label]}}]}
    return who.post(f"{name_of(target)}/$meta-add", body)


def _conditional(who: Client, target: Json, label: Json) -> Any:
    body = {**target, "meta": {**target["meta"], "security": [label]}}
    return who.put(f"{target['resourceType']}?_id={target['id']}", body, headers=_tag(target))


def _conditional_patch(who: Client, target: Json, label: Json) -> Any:
    step = {"op": "add", "path": "/meta/security", "value": [label]}
    return who.patch(f"{target['resourceType']}?_id={target['id']}", [step], headers=_tag(target))


def _bundle(kind: str) -> Attack:
    def send(who: Client, target: Json, label: Json) -> Any:
        body = {**target, "meta": {**target["meta"], "security": [label]}}
        asked = {"method": "PUT", "url": name_of(target), "ifMatch": _tag(target)["If-Match"]}
        bundle = {"resourceType": "Bundle", "type": kind, "entry": [{"resource": body, "request": asked}]}
        return who.post("", bundle)

    return send


ATTACKS: dict[str, Attack] = {
    "update": _put,
    "json patch": _json_patch,
    "fhirpath patch": _fhirpath_patch,
    "meta-add": _meta_add,
    "conditional update": _conditional,
    "conditional patch": _conditional_patch,
    "transaction": _bundle("transaction"),
    "batch": _bundle("batch"),
}


def _status(answer: Any) -> tuple[int, str]:
    """The status of an answer, or of the one entry of a batch; and its text."""
    body = answer.json()
    if body.get("type") == "batch-response":
        response = body["entry"][0]["response"]
        return int(response["status"][:3]), json.dumps(response)
    return answer.status_code, answer.text


def test_a_performer_hides_no_task_of_another(exchange: Exchange) -> None:
    """R12, R17, B-63: no door takes a label from the performing side that would hide the Task; nothing changes."""
    plan, clinic, pantry = exchange.plan, exchange.clinic, exchange.pantry
    person = patient(plan)
    care_team(plan, person, clinic)
    sent = task(plan, person, request(plan, person), owner=organization(pantry))
    sent = changed(pantry, sent, status="accepted")
    for name, attack in ATTACKS.items():
        for label in LABELS:
            status, text = _status(attack(pantry, sent, label))
            assert status == 422, (name, text)
            assert plan.get(name_of(sent)).json() == sent, name
    assert sees(clinic, sent)
    assert _meta_add(plan, sent, INTIMATE).status_code == 200
    assert not sees(clinic, sent)


def test_nor_what_it_may_change_as_an_assigned_provider(exchange: Exchange) -> None:
    """R12: of a type that the other side may change, labels stay the owner's word as well."""
    plan, clinic = exchange.plan, exchange.clinic
    person = patient(plan)
    targets = [
        care_team(plan, person, clinic),
        deny(plan, person, exchange.stranger),
        made(plan, {"resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": to(person)}),
        made(plan, {"resourceType": "Goal", "lifecycleStatus": "active", "description": {"text": "walk"},
                    "subject": to(person)}),
    ]  # fmt: skip
    for target in targets:
        for door in ("update", "meta-add"):
            refused = ATTACKS[door](clinic, target, UNKNOWN)
            assert (refused.status_code, refused.json()["issue"][0]["code"]) == (422, "business-rule"), refused.text
        assert plan.get(name_of(target)).json() == target
        assert _put(plan, target, UNKNOWN).status_code == 200


def test_what_says_no_more_than_the_rest_is_taken(exchange: Exchange) -> None:
    """R17: a Part 2 unit labels its own words; a label that hides nothing, or stood there before, is for everybody."""
    unit, plan, pantry = exchange.join("labelling-unit", "part2"), exchange.plan, exchange.pantry
    person = patient(plan)
    sent = task(plan, person, request(plan, person), owner=organization(unit))
    part2 = {"system": ACT, "code": "42CFRPart2"}
    assert _put(unit, sent, part2).status_code == 200
    other = task(plan, person, request(plan, person), owner=organization(pantry), input=listed(condition(plan, person)))
    quiet = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    other = dict(_put(pantry, other, quiet).json())
    assert other["meta"]["security"] == [quiet]
    assert sees(pantry, changed(pantry, other, status="accepted"))


def test_codes_of_a_performer_hide_no_task_from_who_asked(exchange: Exchange) -> None:
    """R3, R17, ADR 68: they raise the Task's labels and hide it from parties; its requester sees it all the same."""
    plan, clinic, pantry = exchange.plan, exchange.clinic, exchange.pantry
    person = patient(plan)
    care_team(plan, person, clinic)
    sent = task(plan, person, request(plan, person), owner=organization(pantry))
    sent = changed(pantry, sent, status="accepted")
    said = {"type": {"text": "done"}, "valueCodeableConcept": {"coding": [SENSITIVE]}}
    assert sees(clinic, sent)
    assert attempt(pantry, sent, output=[said]).status_code == 200
    assert [sees(who, sent) for who in (plan, clinic, pantry)] == [True, False, True]
    again = plan.get(name_of(sent)).json()
    assert changed(plan, again, status="cancelled", statusReason={"text": "asked anew"})["status"] == "cancelled"
