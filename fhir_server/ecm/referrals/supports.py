"""Community Supports go through the member's plan: it authorizes or denies, then asks a provider by a child Task.

Referrals to other community resources go directly. Policy Guide, Community Supports; SDOH Clinical Care, indirect
referral (http://hl7.org/fhir/us/sdoh-clinicalcare).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from fhir_server.access import inputs
from fhir_server.access.consequences import effective
from fhir_server.access.relations import PLAN, local
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.referrals.parties import Parties, parties, referred
from fhir_server.engine.context import Edits, Transaction
from fhir_server.fhir.errors import BusinessRule
from fhir_server.store.hashing import rh

Resource = Mapping[str, Any]

AUTHORIZED, DENIED, PENDING = "authorized", "not-authorized", "pending"
_DECISIONS: Final = {"accepted": (AUTHORIZED, PENDING), "rejected": (DENIED,)}
_RUNNING: Final = frozenset({"accepted", "in-progress", "on-hold"})


def is_support(request: Resource) -> bool:
    """Whether a ServiceRequest asks for a Community Support."""
    categories = [one for concept in request.get("category", []) for one in concept.get("coding", [])]
    named = any(one.get("system") == words.COMMUNITY_SUPPORTS for one in request.get("code", {}).get("coding", []))
    return named or any(
        one.get("system") == words.SERVICE_CATEGORIES and one.get("code") == "community-support" for one in categories
    )


def plans_of(transaction: Transaction, patient: str) -> frozenset[int]:
    """The member's plans (hashes): who pays a Coverage now; without any, the organization whose Patient it is."""
    transaction.flush()
    found = inputs.inputs(transaction.connection, [rh(patient)])[rh(patient)]
    now = transaction.context.now
    payors = {one.org for one in effective(found) if one.kind == PLAN and one.begins <= now < one.ends}
    return frozenset(payors or ({found.owner} if found.owner is not None else ()))


def require_path(transaction: Transaction, task: Resource, request: Resource, sides: Parties) -> None:
    """BusinessRule for a Community Support that passes the plan by, or a child that is not its parent's owner's."""
    patient = local(task.get("for"), "Patient")
    plans = plans_of(transaction, patient) if patient else frozenset[int]()
    caller_is_plan = transaction.context.caller.org_hash in plans
    if task.get("partOf"):
        _require_child(transaction, task, request, sides)
        if is_support(request) and not caller_is_plan:
            raise BusinessRule("Only the member's plan asks a provider for a Community Support.", "Task.requester")
    elif is_support(request) and not caller_is_plan and (sides.owner is None or rh(sides.owner) not in plans):
        message = "A Community Support is asked of the member's plan, which authorizes it. Name the plan as Task.owner."
        raise BusinessRule(message, "Task.owner")


def _require_child(transaction: Transaction, task: Resource, request: Resource, sides: Parties) -> None:
    """A child carries on one referral: of its owner, once that has accepted it, by an order based on its request."""
    if len(task["partOf"]) != 1:
        raise BusinessRule("A referral is part of one other at most.", "Task.partOf")
    parent = referred(transaction, task["partOf"][0], "Task")
    if parent is None:
        raise BusinessRule("Task.partOf must name a referral here that you can see.", "Task.partOf")
    if parties(transaction, parent).owner != sides.caller:
        raise BusinessRule("Only the owner of a referral passes it on by a Task that is part of it.", "Task.partOf")
    if parent.get("status") not in _RUNNING or decision_of(parent) in {DENIED, PENDING}:
        message = "Accept (and authorize) the referral first, then pass it on by a Task that is part of it."
        raise BusinessRule(message, "Task.partOf")
    if local(parent.get("for")) != local(task.get("for")):
        raise BusinessRule("A part of a referral is about the same member.", "Task.for")
    based = {local(one) for one in request.get("basedOn", [])}
    if request.get("intent") != "filler-order" or local(parent.get("focus")) not in based:
        message = "Task.focus must be a filler-order that is basedOn the ServiceRequest of the referral it is part of."
        raise BusinessRule(message, "Task.focus")


def decision_of(task: Resource) -> str | None:
    """The plan's decision in the Task's authorization; None where there is none."""
    for part in _authorization(task).get("extension", []):
        if part.get("url") == "decision":
            return str(part.get("valueCoding", {}).get("code"))
    return None


def require_own_decision(transaction: Transaction, task: Resource, old: Resource) -> None:
    """BusinessRule if anyone but the member's plan writes the authorization."""
    patient = local(task.get("for"), "Patient")
    if _authorization(task) == _authorization(old) or patient is None:
        return
    if transaction.context.caller.org_hash not in plans_of(transaction, patient):
        raise BusinessRule("The authorization is for the member's plan to record.", "Task.extension")


def decided(transaction: Transaction, task: Resource, request: Resource | None) -> Edits:
    """A plan that accepts a Community Support authorizes it, one that rejects it denies it: the decision on record.

    BusinessRule if the decision sent along says otherwise.
    """
    fitting = _DECISIONS.get(str(task.get("status")))
    patient = local(task.get("for"), "Patient")
    if fitting is None or task.get("partOf") or request is None or not is_support(request) or patient is None:
        return {}
    if transaction.context.caller.org_hash not in plans_of(transaction, patient):
        return {}
    given = decision_of(task)
    if given is None:
        others = [one for one in task.get("extension", []) if one.get("url") != words.AUTHORIZATION]
        return {("extension",): [*others, _with_decision(transaction, _authorization(task), fitting[0])]}
    if given not in fitting:
        message = f"A Community Support that is {task.get('status')} is {' or '.join(fitting)}, not {given[:64]}."
        raise BusinessRule(message, "Task.extension")
    return {}


def _authorization(task: Resource) -> Resource:
    found = [one for one in task.get("extension", []) if one.get("url") == words.AUTHORIZATION]
    return found[0] if found else {}


def _with_decision(transaction: Transaction, authorization: Resource, decision: str) -> dict[str, Any]:
    context = transaction.context
    today = datetime.fromtimestamp(context.now / 1000, context.engine.settings.zone).date().isoformat()
    parts = [one for one in authorization.get("extension", []) if one.get("url") != "date"]
    coding = {"system": words.AUTHORIZATION_DECISIONS, "code": decision}
    parts += [{"url": "decision", "valueCoding": coding}, {"url": "date", "valueDate": today}]
    return {"url": words.AUTHORIZATION, "extension": parts}
