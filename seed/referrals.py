"""Referrals in every state: ServiceRequest and Task as their requester writes them, and the moves that follow.

A Task is born as draft or requested. What happens to it later is a list of moves, each made by the organization whose
turn it is, so that the loaded history is one that the state machine allows.
http://hl7.org/fhir/us/sdoh-clinicalcare (closed-loop referral)
"""

from collections.abc import Iterator
from datetime import date, timedelta

from seed import numbers
from seed.casting import Referral, lists
from seed.codes import (
    GRAVITY,
    HCPCS,
    PROFILE,
    SEED,
    Json,
    coding,
    concept,
    ecm,
    extension,
    instant,
    organization,
    patient,
    profile,
    seed_identifier,
    seeded,
)
from seed.members import Member

DECISIONS = {"accepted": "authorized", "denied": "not-authorized"}
LATER = 8  # days that a parent waits for its child after the decision

# step -> Task.status, referral status, reason for the closure
STEPS = {
    "accepted": ("accepted", "accepted", ""),
    "rejected": ("rejected", "declined", ""),
    "denied": ("rejected", "loop-closed", "no-longer-eligible"),
    "in-progress": ("in-progress", "outreach-initiated", ""),
    "on-hold": ("on-hold", "outreach-initiated", ""),
    "loop-closed": ("in-progress", "loop-closed", "services-received"),
    "completed": ("completed", "loop-closed", "services-received"),
    "failed": ("failed", "loop-closed", "unable-to-reach"),
    "cancelled": ("cancelled", "loop-closed", "no-longer-needed"),
}


def resources(referral: Referral) -> list[tuple[str, Json]]:
    """The ServiceRequest and the Task as the requester writes them."""
    request = (f"{referral.key}-request", _request(referral))
    return [request, (f"{referral.key}-task", _task(referral, request[0]))]


def _code(service: Json, name: str) -> Json:
    codings = [coding(ecm(service["system"]), name)]
    if "hcpcs" in service:
        codings.append(coding(HCPCS, service["hcpcs"]))
    return {"coding": codings, "text": service["text"]}


def _request(referral: Referral) -> Json:
    service = lists()["services"][referral.service]
    categories = [concept(ecm("ecm-service-category"), service["category"])]
    if service["domain"]:
        categories.append(concept(GRAVITY, service["domain"]))
    found: Json = {
        "resourceType": "ServiceRequest",
        "meta": profile("ecm-servicerequest"),
        "identifier": seed_identifier(f"{referral.key}-request"),
    }
    if referral.parent:
        found["basedOn"] = [seeded("ServiceRequest", f"{referral.parent}-request")]
    found |= {
        "status": "draft" if referral.path == "draft" else "active",
        "intent": "filler-order" if referral.parent else "order",
        "category": categories,
        "priority": "urgent" if referral.service == "recuperative-care" else "routine",
        "code": _code(service, referral.service),
        "subject": patient(referral.member.cin),
        "occurrencePeriod": _half_year(referral.day),
        "authoredOn": instant(referral.day, 10),
        "requester": organization(referral.requester),
        "performer": [organization(owner) for owner in referral.owners],
    }
    if referral.supporting:
        found["supportingInfo"] = [seeded("Condition", name) for name in referral.supporting]
    return found


def _half_year(day: date) -> Json:
    return {"start": day.isoformat(), "end": (day + timedelta(days=180)).isoformat()}


def _task(referral: Referral, request: str) -> Json:
    found: Json = {
        "resourceType": "Task",
        "meta": profile("ecm-task"),
        "identifier": seed_identifier(f"{referral.key}-task"),
    }
    if referral.parent:
        found["partOf"] = [seeded("Task", f"{referral.parent}-task")]
    found |= {"status": referral.born}
    if referral.born == "requested":
        found["businessStatus"] = business_status("pending", "", referral.day)
    found |= {
        "intent": "order",
        "priority": "urgent" if referral.service == "recuperative-care" else "routine",
        "code": concept("http://hl7.org/fhir/CodeSystem/task-code", "fulfill"),
        "description": lists()["services"][referral.service]["text"],
        "focus": {"reference": numbers.urn(request)},
        "for": patient(referral.member.cin),
        "authoredOn": instant(referral.day, 10),
        "lastModified": instant(referral.day, 10),
        "requester": organization(referral.requester),
    }
    if len(referral.owners) == 1:
        return found | {"owner": organization(referral.owners[0])}
    return found | {"restriction": {"recipient": [organization(owner) for owner in referral.owners]}}


def business_status(status: str, closure: str, day: date) -> Json:
    """Task.businessStatus: the referral status, the reason once the loop is closed, and the date of the change."""
    codings = [coding(ecm("ecm-referral-status"), status)]
    if closure:
        codings.append(coding(ecm("ecm-referral-closure-reason"), closure))
    return {"extension": [extension("ecm-referral-status-date", "DateTime", instant(day, 11))], "coding": codings}


def moves(referral: Referral, only: tuple[str, ...] = ()) -> Iterator[Json]:
    """The moves of one Task in order: who, which Task, from where, and the members to set.

    `only` limits them to some steps: a parent is authorized before its child exists and goes on after it.
    """
    before, day = referral.born, referral.day
    owner = referral.claim or referral.owners[0]
    steps = ["denied"] if referral.path == "denied" else lists()["paths"][referral.path]
    for step in steps:
        waits = referral.decided and step not in DECISIONS
        day += timedelta(days=LATER if waits else 2)
        if not only or step in only:
            yield {
                "as": referral.requester if step == "cancelled" else owner,
                "find": f"Task?identifier={SEED}|{referral.key}-task",
                "from": before,
                "to": STEPS[step][0],
                "set": _change(referral, step, day, owner),
            }
        before = STEPS[step][0]


def _change(referral: Referral, step: str, day: date, owner: str) -> Json:
    status, state, closure = STEPS[step]
    found: Json = {
        "status": status,
        "businessStatus": business_status(state, closure, day),
        "lastModified": instant(day, 11),
    }
    if step in lists()["reasons"]:
        reason, text = lists()["reasons"][step]
        found["statusReason"] = concept(ecm("ecm-referral-closure-reason"), reason, text)
    elif step == "completed":
        found["output"] = [_output(referral)]
    if step == "accepted" and len(referral.owners) > 1:
        found["owner"] = organization(owner)
    if referral.decided and step in DECISIONS:
        found["extension"] = [authorization(referral.member, DECISIONS[step], day)]
    return found


def _output(referral: Referral) -> Json:
    service = lists()["services"][referral.service]
    value = _code(service, referral.service) | {"text": service["output"]}
    return {"type": concept(GRAVITY, "resulting-activity"), "valueCodeableConcept": value}


def authorization(member: Member, decision: str, day: date) -> Json:
    """The plan's decision on a Community Support."""
    parts: list[Json] = [{"url": "decision", "valueCoding": coding(ecm("ecm-authorization-decision"), decision)}]
    if decision == "authorized":
        number = {"url": "number", "valueString": f"{member.authorization}-CS"}
        parts = [number, {"url": "period", "valuePeriod": _half_year(day)}, *parts]
    parts.append({"url": "date", "valueDate": day.isoformat()})
    return {"url": f"{PROFILE}/ecm-authorization", "extension": parts}
