"""Which notices a change of a referral calls for, written as Communications in its very transaction.

The rows are data: profiles/ecm/notices.json. Closed-loop referral requirements of 1 July 2025: the plan tells the
member and the referring entity of authorization, assignment and closure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache, reduce
from operator import or_
from typing import Any, Final

import orjson

from fhir_server.access.relations import items, local
from fhir_server.ecm import labelled
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.notices.sending import BY_SERVER, known_channels
from fhir_server.ecm.persons import is_deceased
from fhir_server.ecm.referrals import loops, supports
from fhir_server.ecm.referrals.parties import Parties, parties, referred
from fhir_server.engine import access_rows, behalf, records, repository, writing
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Context, Transaction
from fhir_server.fhir.errors import BusinessRule
from fhir_server.fhir.folders import data_folder
from fhir_server.jobs import deliveries
from fhir_server.store import resources
from fhir_server.store.hashing import rh

Resource = Mapping[str, Any]

_DECISIONS: Final = {supports.AUTHORIZED: "authorized", supports.DENIED: "denied"}
_TOLD: Final = frozenset({"community-support", "enhanced-care-management"})


@cache
def _rules() -> Mapping[str, Any]:
    found: Mapping[str, Any] = orjson.loads((data_folder("profiles") / "ecm" / "notices.json").read_bytes())
    return found


def guard(transaction: Transaction, change: Change) -> None:
    """before_write: a notice and its proof are the server's; nobody else makes or changes one (BusinessRule)."""
    if change.type != "Communication" or transaction.context.notes.get(BY_SERVER):
        return
    if any(_is_notice(one) for one in (change.resource, change.old or {})):
        raise BusinessRule("Notices of referrals, and the proof that they were sent, are written by the server alone.")


def _is_notice(resource: Resource) -> bool:
    proofs = [one for one in items(resource, "extension") if one.get("url") == words.PROOF_OF_SENDING]
    return bool(proofs) or any(one.get("system") == words.NOTICE for one in items(resource, "identifier"))


def announce(transaction: Transaction, change: Change) -> None:
    """in_transaction: write and queue the notices that this change of a Task calls for."""
    if change.type != "Task" or change.interaction == "delete":
        return
    request = local(change.resource.get("focus"), "ServiceRequest")
    patient = local(change.resource.get("for"), "Patient")
    if request is None or patient is None:
        return
    events = list(_events(change))
    if not events:
        return
    sides = parties(transaction, change.resource)
    if plan := _plan(transaction, patient, sides):
        _tell(transaction, change, plan, events, sides)


def _events(change: Change) -> Iterator[str]:
    task, old = change.resource, change.old or {}
    decision = supports.decision_of(task)
    if decision != supports.decision_of(old) and decision in _DECISIONS:
        yield _DECISIONS[decision]
    if task.get("status") == "accepted" != old.get("status"):
        yield "assigned"
    if loops.is_closed(task.get("businessStatus")) and not loops.is_closed(old.get("businessStatus")):
        yield "closed"


def _plan(transaction: Transaction, patient: str, sides: Parties) -> str | None:
    """The member's plan among those who take part: it is the one that tells."""
    plans = supports.plans_of(transaction, patient)
    named = (transaction.context.caller.org, sides.owner, sides.requester)
    return next((name for name in named if name and rh(name) in plans), None)


def _tell(transaction: Transaction, change: Change, plan: str, events: list[str], sides: Parties) -> None:
    with behalf.acting_for(transaction, plan) as acting:
        acting.notes[BY_SERVER] = True
        task = change.resource
        request = referred(transaction, task.get("focus"), "ServiceRequest") or {}
        if not _calls_for_notices(request):
            return
        asker = _referring(transaction, task, sides, plan)
        recipients = {"member": _member(acting, task), "requester": asker}
        by_plan = sides.owner == plan  # then an acceptance assigns nobody yet, and its loop is told of by its parts
        told = [event for event in events if event in _DECISIONS.values() or not by_plan]
        facts = _facts(acting, task, request, sides)
        for row in _rules()["rows"]:
            recipient = recipients[row["to"]]
            if row["event"] in told and recipient:
                _write(transaction, change, row, recipient, facts)


def tell_of_action(transaction: Transaction, change: Change, plan: str, decision: str) -> None:
    """Write the Notice of Action of a step that ended against the member: to the member, and to who began the step."""
    task, asker = change.resource, parties(transaction, change.resource).requester
    with behalf.acting_for(transaction, plan) as acting:
        recipients = {"member": _member(acting, task), "requester": asker if asker != plan else None}
        acting.notes[BY_SERVER] = True
        reason = str(task.get("statusReason", {}).get("text", ""))
        facts = {"decision": decision, "date": _today(acting), "reason": reason}
        for row in _rules()["rows"]:
            recipient = recipients[row["to"]]
            if row["event"] == "notice-of-action" and recipient:
                _write(transaction, change, row, recipient, facts)


def _member(context: Context, task: Resource) -> str | None:
    """Whom a Task is about, as long as somebody is there to be told."""
    name = local(task.get("for"), "Patient")
    return None if name is None or is_deceased(records.by_reference(context, [name]).get(name, {})) else name


def _today(context: Context) -> str:
    return datetime.fromtimestamp(context.now / 1000, context.engine.settings.zone).date().isoformat()


def _calls_for_notices(request: Resource) -> bool:
    exempt = set(_rules()["exempt"])
    codes = {one.get("code") for one in request.get("code", {}).get("coding", [])}
    kinds = {one.get("code") for concept in items(request, "category") for one in concept.get("coding", [])}
    return bool(kinds & _TOLD) and not codes & exempt


def _referring(transaction: Transaction, task: Resource, sides: Parties, plan: str) -> str | None:
    """Who asked in the first place: the requester of the referral this one is part of, else its own; not the plan."""
    parents = [referred(transaction, one, "Task") for one in items(task, "partOf")]
    asked = [parties(transaction, parent).requester for parent in parents if parent] or [sides.requester]
    return asked[0] if asked[0] != plan else None


def _facts(context: Context, task: Resource, request: Resource, sides: Parties) -> dict[str, str]:
    """What the texts are filled with."""
    terms = context.engine.terminology
    provider = records.by_reference(context, [sides.owner]).get(sides.owner, {}) if sides.owner else {}
    coding = request.get("code", {}).get("coding", [{}])[0]
    service = (
        terms.display(str(coding.get("system")), str(coding.get("code"))) or coding.get("display") or "The service"
    )
    contact = ", ".join(str(one["value"]) for one in items(provider, "telecom") if one.get("value"))
    reasons = [
        terms.display(words.CLOSURE_REASONS, str(one.get("code"))) or str(one.get("code"))
        for one in (task.get("businessStatus") or {}).get("coding", [])
        if one.get("system") == words.CLOSURE_REASONS
    ]
    return {
        "service": str(service),
        "provider": str(provider.get("name", "A provider")),
        "contact": contact or "your plan will tell you",
        "reason": str(task.get("statusReason", {}).get("text", "none was recorded.")),
        "closure": ", ".join(reasons) or "none was recorded",
        "date": _today(context),
    }


def _write(transaction: Transaction, change: Change, row: Resource, recipient: str, facts: Mapping[str, str]) -> None:
    context, task = transaction.context, change.resource
    channel = _channel(context, row["to"], recipient)
    number = f"{change.row.fid}.{change.row.ver}.{row['event']}.{row['to']}"
    notice = {
        "resourceType": "Communication",
        "identifier": [{"system": words.NOTICE, "value": number}],
        "basedOn": [{"reference": change.reference}],
        "status": "preparation",
        "category": [{"coding": [{"system": words.NOTICES, "code": row["event"]}]}],
        "subject": task["for"],
        "recipient": [{"reference": recipient}],
        "sender": {"reference": context.caller.org},
        "payload": [{"contentString": row["text"].format(**facts)}],
    }
    if channel:
        notice["medium"] = [{"coding": [{"system": words.NOTICE_CHANNELS, "code": channel}]}]
    if labels := labelled.security(change.row.labels | _labels_of_request(transaction, task)):
        notice["meta"] = {"security": labels}
    made = repository.create(context, writing.built(context, "Communication", notice))
    if recipient.startswith("Organization/"):
        access_rows.show(transaction, made.row, rh(recipient))
    if channel:
        deliveries.queue(transaction, made.row.fid, context.caller.org)


def _labels_of_request(transaction: Transaction, task: Resource) -> int:
    """How sensitive the request behind a Task is."""
    names = [local(one, "ServiceRequest") for one in (task.get("focus"), *items(task, "basedOn"))]
    visible = transaction.context.visible_targets()
    rows = resources.by_hash(transaction.connection, visible, [rh(name) for name in names if name])
    return reduce(or_, (row.labels for row in rows), 0)


def _channel(context: Context, to: str, recipient: str) -> str | None:
    """The first channel that this deployment and the recipient have; None: somebody must tell otherwise."""
    known = records.by_reference(context, [recipient]).get(recipient, {})
    for code in _rules()["channels"][to]:
        if known_channels()[code].serves(context.engine.settings, known):
            return str(code)
    return None
