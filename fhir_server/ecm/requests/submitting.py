"""Blind submission: a request reaches the plan, and who submits it learns nothing, not even if the member is known.

What was said of the member is kept with the request. Where the plan knows the CIN and the date of birth agrees, it is
about that Patient; otherwise the plan finds the member by hand. Both ways the answer is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from fhir_server.access.relations import local
from fhir_server.ecm import member
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.files.assignments.intake import RIGHT
from fhir_server.ecm.requests import steps
from fhir_server.engine import behalf, repository, turns, writing
from fhir_server.engine.context import Context, Transaction
from fhir_server.fhir.errors import BadValue
from fhir_server.fhir.values import instant

PRIORITIES: Final = ("routine", "urgent", "asap", "stat")
RELATIONS: Final = ("member", "family", "provider", "community-organization", "other")
_CATEGORIES: Final = {words.SERVICES: "enhanced-care-management", words.COMMUNITY_SUPPORTS: "community-support"}


@dataclass(frozen=True)
class Submission:
    """What somebody asks of a plan, as they said it; `member` and `asked_by` by the names of the operation's parts."""

    plan: str
    service: Mapping[str, Any]
    priority: str
    member: Mapping[str, str]
    asked_by: Mapping[str, str]
    preferred: Sequence[Mapping[str, Any]] = ()
    populations: Sequence[Mapping[str, Any]] = ()
    reason: str = ""


def require_right(context: Context, asked: Submission) -> None:
    """BadValue for what no plan could act on: an unknown plan or service, an odd priority, a CIN that is none."""
    if local({"reference": asked.plan}, "Organization") is None or not _is_plan(context, asked.plan):
        raise BadValue("plan must be a plan of this exchange: Organization/[id].", "plan")
    system, code = str(asked.service.get("system")), str(asked.service.get("code"))
    if system not in _CATEGORIES or context.engine.terminology.display(system, code) is None:
        raise BadValue("service must be a code of ecm-service or ecm-community-support.", "service")
    if any(local(one, "Organization") is None for one in asked.preferred):
        raise BadValue("preferred-provider must be Organization/[id].", "preferred-provider")
    if asked.priority not in PRIORITIES:
        raise BadValue(f"priority is one of {', '.join(PRIORITIES)}.", "priority")
    if asked.asked_by["relation"] not in RELATIONS:
        raise BadValue(f"relation is one of {', '.join(RELATIONS)}.", "asked-by.relation")
    if "cin" in asked.member:
        _require_cin(asked.member["cin"])


def _is_plan(context: Context, plan: str) -> bool:
    """Whether the organization is registered here as one that assigns members: any other could not act on a request."""
    known = repository.lookup(context, "Organization", [("_id", plan.partition("/")[2])])
    return bool(known) and behalf.has_right(context, plan, RIGHT)


def _require_cin(text: str) -> None:
    try:
        member.cin(text)
    except member.Unreadable as error:
        raise BadValue(error.advice, "member.cin") from None


def submit(transaction: Transaction, asked: Submission) -> str:
    """Store the request for the plan and begin its first step; the receipt. Throttled for too many by one client."""
    settings = transaction.context.engine.settings
    limits = {turns.MINUTE: settings.submissions_per_minute, turns.DAY: settings.submissions_per_day}
    turns.take(transaction, "submit-request", limits)
    submitter, receipt = transaction.context.caller.org, transaction.context.engine.ids.fid()
    with behalf.acting_for(transaction, asked.plan) as acting:
        patient = _known(acting, asked.member)
        request = repository.create(
            acting, writing.built(acting, "ServiceRequest", _request(acting, asked, patient, submitter, receipt))
        )
        like: dict[str, Any] = {
            "priority": asked.priority,
            "basedOn": [{"reference": request.reference}],
            "input": _inputs(asked),
            **({"for": {"reference": patient}} if patient else {}),
        }
    first = "authorize" if patient else "identify"
    steps.begin(transaction, asked.plan, first, like, after="submission", labels=request.row.labels)
    return receipt


def _known(context: Context, said: Mapping[str, str]) -> str | None:
    """The plan's Patient with this CIN, if the date of birth agrees."""
    number = member.cin(said["cin"]) if "cin" in said else "-"
    hits = repository.lookup(context, "Patient", [("identifier", f"{words.CIN}|{number}")])
    own = [hit for hit in hits if hit.owner == context.caller.org_hash]
    agree = [hit for hit in own if orjson.loads(hit.body).get("birthDate") == said["birth-date"]]
    return f"Patient/{agree[0].fid}" if len(agree) == 1 else None


def _request(context: Context, asked: Submission, patient: str | None, submitter: str, receipt: str) -> dict[str, Any]:
    category = {"system": words.SERVICE_CATEGORIES, "code": _CATEGORIES[asked.service["system"]]}
    populations = [
        {"url": words.POPULATION_OF_FOCUS, "valueCodeableConcept": {"coding": [dict(one)]}} for one in asked.populations
    ]
    request: dict[str, Any] = {
        "resourceType": "ServiceRequest",
        "identifier": [{"system": words.RECEIPT, "value": receipt}],
        "status": "active",
        "intent": "order",
        "priority": asked.priority,
        "category": [{"coding": [category]}],
        "code": {"coding": [dict(asked.service)]},
        "subject": {"reference": patient} if patient else {"type": "Patient", "display": _called(asked.member)},
        "authoredOn": instant(context.now),
        "requester": {"reference": submitter},
        **({"extension": populations} if populations else {}),
        **({"performer": [dict(one) for one in asked.preferred]} if asked.preferred else {}),
        **({"reasonCode": [{"text": asked.reason}]} if asked.reason else {}),
    }
    return request


def _called(said: Mapping[str, str]) -> str:
    return f"{said['family']}, {said['given']}, born {said['birth-date']}"


def _inputs(asked: Submission) -> list[dict[str, Any]]:
    """What was said of the member and of who asks, for the plan to read; and whom the member prefers."""
    said = {f"member {name}": value for name, value in asked.member.items()}
    said |= {f"asked by: {name}": value for name, value in asked.asked_by.items()}
    texts = [{"type": {"text": name}, "valueString": value} for name, value in said.items()]
    return [*texts, *({"type": {"text": "preferred provider"}, "valueReference": dict(one)} for one in asked.preferred)]
