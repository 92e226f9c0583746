"""Referrals in every state: ServiceRequest and Task as their requester writes them, and the moves that follow.

A Task is born as draft or requested. What happens to it later is a list of moves, each made by the organization whose
turn it is, so that the loaded history is one that the state machine allows.
http://hl7.org/fhir/us/sdoh-clinicalcare (closed-loop referral)
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import Any

from seed import numbers, world
from seed.clinical import key, planned
from seed.codes import (
    GRAVITY,
    HCPCS,
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

OPEN = {
    "requested": "pending",
    "accepted": "accepted",
    "in-progress": "outreach-initiated",
    "on-hold": "outreach-initiated",
}
CLOSED = {
    "loop-closed": "services-received",
    "completed": "services-received",
    "rejected": "provider-declined",
    "denied": "no-longer-eligible",
    "failed": "unable-to-reach",
    "cancelled": "no-longer-needed",
}


@cache
def lists() -> dict[str, Any]:
    """The services, paths and referrals of the world."""
    return dict(json.loads((world.DATA / "referrals.json").read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Referral:
    """One ServiceRequest with its Task, and what becomes of it."""

    key: str
    member: Member
    requester: str
    owners: tuple[str, ...]
    service: str
    path: str
    day: date
    parent: str = ""
    claim: str = ""
    supporting: tuple[str, ...] = ()
    decided: bool = False

    @property
    def born(self) -> str:
        """The status with which the Task is written."""
        return "draft" if self.path == "draft" else "requested"


@dataclass
class Casting:
    """Hands out members with a care plan, each to one referral only."""

    members: list[Member]
    used: set[str] = field(default_factory=set)

    def next(self, provider: str) -> Member | None:
        """The next free enrolled member of a provider, or None."""
        for member in self.members:
            if (
                member.provider == provider
                and member.status == "enrolled"
                and planned(member)
                and member.cin not in self.used
            ):
                self.used.add(member.cin)
                return member
        return None


def direct(casting: Casting, as_of: date) -> list[Referral]:
    """Referrals from a provider to a community organization."""
    found: list[Referral] = []
    cast: dict[str, Member] = {}
    for facts in lists()["direct"]:
        member = cast.get(facts.get("again", "")) or casting.next(facts["from"])
        if member is None:
            continue
        cast[facts["key"]] = member
        day = as_of - timedelta(days=14 if "again" in facts else 19)
        found.append(
            Referral(
                key=facts["key"],
                member=member,
                requester=facts["from"],
                owners=tuple(facts["to"]),
                service=facts["service"],
                path=facts["path"],
                day=day,
                claim=facts.get("claim", ""),
                supporting=(key(member, "need-1"),),
            )
        )
    return found


def supports(casting: Casting, as_of: date) -> list[tuple[Referral, Referral | None]]:
    """Community Supports: the provider's request to the plan, and the plan's own request to the provider of the support."""
    found: list[tuple[Referral, Referral | None]] = []
    for facts in lists()["supports"]:
        member = casting.next(facts["from"])
        if member is None:
            continue
        parent = Referral(
            key=f"{facts['key']}-parent",
            member=member,
            requester=facts["from"],
            owners=(member.plan,),
            service=facts["service"],
            path=facts["path"],
            day=as_of - timedelta(days=26),
            supporting=(key(member, "need-1"),),
            decided=True,
        )
        child = Referral(
            key=f"{facts['key']}-child",
            member=member,
            requester=member.plan,
            owners=(facts["to"],),
            service=facts["service"],
            path=facts.get("child", ""),
            day=as_of - timedelta(days=22),
            parent=parent.key,
            supporting=(key(member, "need-1"),),
        )
        found.append((parent, child if child.path else None))
    return found


def to_ecm(members: list[Member], as_of: date) -> list[Referral]:
    """The plan's referral to Enhanced Care Management of some members, owned by the assigned provider."""
    wanted = {
        "enrolled": ("completed", "closed"),
        "outreach": ("accepted", "in-progress"),
        "declined": ("rejected",),
        "assigned": ("requested",),
    }
    counted: dict[tuple[str, str], int] = {}
    found: list[Referral] = []
    for member in members:
        paths = wanted.get(member.status, ()) if member.live else ()
        seen = counted.setdefault((member.provider, member.status), 0)
        if seen >= 2 * len(paths):
            continue
        counted[(member.provider, member.status)] = seen + 1
        found.append(
            Referral(
                key=key(member, "ecm-referral"),
                member=member,
                requester=member.plan,
                owners=(member.provider,),
                service="enhanced-care-management",
                path=paths[seen % len(paths)],
                day=min(member.begins, as_of - timedelta(days=20)),
            )
        )
    return found


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
        "occurrencePeriod": {
            "start": referral.day.isoformat(),
            "end": (referral.day + timedelta(days=180)).isoformat(),
        },
        "authoredOn": instant(referral.day, 10),
        "requester": organization(referral.requester),
        "performer": [organization(owner) for owner in referral.owners],
    }
    if referral.supporting:
        found["supportingInfo"] = [seeded("Condition", name) for name in referral.supporting]
    return found


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
        status = {"loop-closed": "in-progress", "denied": "rejected"}.get(step, step)
        day += timedelta(days=2)
        if not only or step in only:
            yield {
                "as": referral.requester if step == "cancelled" else owner,
                "find": f"Task?identifier={seed_identifier('')[0]['system']}|{referral.key}-task",
                "from": before,
                "to": status,
                "set": _change(referral, step, status, day, owner),
            }
        before = status


def _change(referral: Referral, step: str, status: str, day: date, owner: str) -> Json:
    closure = CLOSED.get(step, "")
    state = "loop-closed" if closure and step != "rejected" else "declined" if step == "rejected" else OPEN[step]
    found: Json = {
        "status": status,
        "businessStatus": business_status(state, closure if state == "loop-closed" else "", day),
        "lastModified": instant(day, 11),
    }
    if step in lists()["reasons"]:
        reason, text = lists()["reasons"][step]
        found["statusReason"] = concept(ecm("ecm-referral-closure-reason"), reason, text)
    elif step == "completed":
        found["output"] = [_output(referral)]
    if step == "accepted" and len(referral.owners) > 1:
        found["owner"] = organization(owner)
    if referral.decided and step in ("accepted", "denied"):
        found["extension"] = [
            authorization(referral.member, "authorized" if step == "accepted" else "not-authorized", day)
        ]
    return found


def _output(referral: Referral) -> Json:
    service = lists()["services"][referral.service]
    value = _code(service, referral.service) | {"text": service["output"]}
    return {"type": concept(GRAVITY, "resulting-activity"), "valueCodeableConcept": value}


def authorization(member: Member, decision: str, day: date) -> Json:
    """The plan's decision on a Community Support."""
    parts: list[Json] = [{"url": "decision", "valueCoding": coding(ecm("ecm-authorization-decision"), decision)}]
    if decision == "authorized":
        period = {"start": day.isoformat(), "end": (day + timedelta(days=180)).isoformat()}
        parts = [
            {"url": "number", "valueString": f"{member.authorization}-CS"},
            {"url": "period", "valuePeriod": period},
            *parts,
        ]
    parts.append({"url": "date", "valueDate": day.isoformat()})
    return {"url": extension("ecm-authorization", "String", "")["url"], "extension": parts}
