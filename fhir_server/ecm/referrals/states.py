"""Closed-loop referrals: who may take a Task from which state to which.

SDOH Clinical Care, referral workflow (http://hl7.org/fhir/us/sdoh-clinicalcare); the DHCS closed-loop referral
requirements of 1 July 2025. What a move means for the loop stands in `loops`, which way a Community Support takes in
`supports`, what repeats another referral in `duplicates`. That an end is explained (statusReason, output) is asked by
the profile ecm-task, which every referral must satisfy because it carries a referral status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fhir_server.access.relations import local
from fhir_server.ecm.referrals import attempts, duplicates, loops, services, stamps, supports
from fhir_server.ecm.referrals.parties import ANSWERS_FOR, Parties, parties, referred
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Edits, Transaction
from fhir_server.fhir.errors import BusinessRule
from fhir_server.fhir.wire import DELETE

Resource = Mapping[str, Any]

REQUESTER, PERFORMER, EITHER = "requester", "performer", "either"

DRAFT: Final = "draft"
NEW: Final = frozenset({DRAFT, "requested"})
RUNNING: Final = frozenset({"accepted", "in-progress", "on-hold"})
ENDED: Final = frozenset({"rejected", "completed", "failed", "cancelled"})
TERMINAL: Final = ENDED | {"entered-in-error"}
MOVES: Final = {
    (DRAFT, "requested"): REQUESTER,
    ("requested", "accepted"): PERFORMER,
    ("requested", "rejected"): PERFORMER,
    ("requested", "cancelled"): EITHER,
    ("accepted", "in-progress"): PERFORMER,
    ("accepted", "on-hold"): PERFORMER,
    ("accepted", "completed"): PERFORMER,
    ("accepted", "failed"): PERFORMER,
    ("accepted", "cancelled"): EITHER,
    ("in-progress", "on-hold"): PERFORMER,
    ("in-progress", "completed"): PERFORMER,
    ("in-progress", "failed"): PERFORMER,
    ("in-progress", "cancelled"): EITHER,
    ("on-hold", "in-progress"): PERFORMER,
    ("on-hold", "completed"): PERFORMER,
    ("on-hold", "failed"): PERFORMER,
    ("on-hold", "cancelled"): EITHER,
    **{(state, "entered-in-error"): REQUESTER for state in NEW | RUNNING | ENDED},
}
FIXED: Final = ("for", "focus", "requester", "intent", "code", "authoredOn", "partOf")


def is_referral(task: Resource) -> bool:
    """Whether a Task asks for a service: its focus is a ServiceRequest."""
    return str(task.get("focus", {}).get("reference", "")).startswith("ServiceRequest/")


def check(transaction: Transaction, change: Change) -> Edits | None:
    """before_write: refuse an illegal move (BusinessRule), else return what the server records with it."""
    task = change.resource
    old = change.old if change.old and is_referral(change.old) else {}  # a Task that was a referral stays one
    if change.type != "Task" or not (old or is_referral(task)):
        return None
    if change.interaction == "delete":
        _require_draft(old)
        return None
    if old.get("status") in {None, DRAFT}:
        return _prepared(transaction, change, old)
    edits = _moved(transaction, task, old)
    if old.get("status") != "accepted" == task.get("status"):
        attempts.end_parallel(transaction, change.row.fid, task)
    return edits


def _require_draft(old: Resource) -> None:
    if old.get("status") != DRAFT:
        raise BusinessRule("A sent referral is not deleted, so that its loop is never lost. Set it entered-in-error.")


def _prepared(transaction: Transaction, change: Change, old: Resource) -> Edits:
    """A referral that is new or was a draft: its requester's alone, and checked as a whole when it is sent."""
    task, sides = change.resource, parties(transaction, change.resource)
    status = task.get("status")
    if not old and status not in NEW:
        raise BusinessRule("A new referral starts as draft or requested.", "Task.status")
    if old and status != DRAFT and (DRAFT, status) not in MOVES:
        raise BusinessRule(f"A referral cannot go from draft to {status}.", "Task.status")
    if not sides.is_requester or (old and not parties(transaction, old).is_requester):
        raise BusinessRule("Task.requester must be your own organization, or a role in it.", "Task.requester")
    request = _requested(transaction, task) if status in NEW else None
    if request is not None:
        supports.require_own_decision(transaction, task, old)
        supports.require_path(transaction, task, request, sides)
    if status == "requested" and request is not None:
        _require_addressee(task, sides)
        services.require_servable(transaction, task, request, sides)
        attempts.replace_earlier(transaction, task)
        duplicates.refuse(transaction, change.row.fid, task, request)
    edits = stamps.edits(stamps.of_new(transaction, task, request, sides), task)
    return {**edits, **loops.kept_in_step(task, old, transaction.context.now, may_say=True)}


def _requested(transaction: Transaction, task: Resource) -> Resource:
    request = referred(transaction, task.get("focus"), "ServiceRequest")
    if request is None:
        message = "Task.focus must name a ServiceRequest here that you can see. Create it first, in the same Bundle."
        raise BusinessRule(message, "Task.focus")
    patient = local(task.get("for"), "Patient")
    if patient is None or patient != local(request.get("subject"), "Patient"):
        raise BusinessRule("Task.for must be the Patient whom the ServiceRequest is about.", "Task.for")
    return request


def _require_addressee(task: Resource, sides: Parties) -> None:
    if not sides.candidates:
        message = "A requested referral needs an organization: Task.owner, or candidates in Task.restriction.recipient."
        raise BusinessRule(message, "Task.owner")
    if task.get("owner") and task.get("restriction", {}).get("recipient"):
        message = "Name Task.owner, or candidates in Task.restriction.recipient of whom the first to accept becomes it."
        raise BusinessRule(message, "Task.owner")


def _moved(transaction: Transaction, given: Resource, old: Resource) -> Edits:
    """A sent referral: from its state to one that the caller's side may take it to, or the same with more said."""
    sides = parties(transaction, old)
    task = stamps.of_sent(transaction, given, old, sides)
    before, after = str(old.get("status")), str(task.get("status"))
    if not (sides.is_requester or sides.is_performer):
        raise BusinessRule("Only the requester and the performer of a Task may change it.")
    _require_fixed(old, task)
    if before != after:
        _require_move(sides, before, after)
    elif before in TERMINAL:
        raise BusinessRule(f"This referral is {before}, which is final. Send a new Task for a new attempt.")
    if after == "rejected" and sides.others:
        return {**stamps.edits(task, given), **_step_back(task, old, sides)}
    supports.require_own_decision(transaction, task, old)
    edits = dict(stamps.edits(task, given))
    if before != after == "accepted" and sides.owner is None:
        edits |= _claimed(transaction, task, sides)
    elif old.get("owner") != task.get("owner"):
        raise BusinessRule("Task.owner is decided when an organization accepts.", "Task.owner")
    if before != after and ANSWERS_FOR not in transaction.context.notes:
        edits |= supports.decided(transaction, task, referred(transaction, task.get("focus"), "ServiceRequest"))
    says = before != after or sides.is_performer or loops.RETURNED in transaction.marks
    return edits | dict(loops.kept_in_step(task, old, transaction.context.now, may_say=says))


def _require_fixed(old: Resource, task: Resource) -> None:
    for name in FIXED:
        if old.get(name) != task.get(name):
            raise BusinessRule(f"Task.{name} cannot change once the referral was sent.", f"Task.{name}")
    if old.get("restriction") != task.get("restriction"):
        message = "The candidates of a sent referral stay as they are. Send a new Task on the same ServiceRequest."
        raise BusinessRule(message, "Task.restriction")


def _require_move(sides: Parties, before: str, after: str) -> None:
    side = MOVES.get((before, after))
    if side is None:
        raise BusinessRule(f"A referral cannot go from {before} to {after}.", "Task.status")
    performs = sides.is_performer and not (after == "cancelled" and sides.others)  # it is the others' chance as well
    allowed = {REQUESTER: sides.is_requester, PERFORMER: performs, EITHER: sides.is_requester or performs}
    if not allowed[side]:
        who = "requester or the owner" if side == EITHER else side
        raise BusinessRule(f"Only the {who} may take this referral from {before} to {after}.", "Task.status")


def _claimed(transaction: Transaction, task: Resource, sides: Parties) -> Edits:
    """Who accepts an open referral becomes its owner, named or not; the claim ends the others (SD-41)."""
    if "owner" not in task:
        return {("owner",): {"reference": sides.caller}}
    if parties(transaction, task).owner != sides.caller:
        raise BusinessRule("Accept for your own organization: name it as Task.owner.", "Task.owner")
    return {}


def _step_back(task: Resource, old: Resource, sides: Parties) -> Edits:
    """One of several candidates declines: it leaves the list, and the referral stays open for the others."""
    left = [{"reference": name} for name in sorted(sides.others)]
    kept = {**task.get("restriction", {}), "recipient": left}
    edits: dict[tuple[str | int, ...], Any] = {("status",): "requested", ("restriction",): kept}
    for name in ("statusReason", "businessStatus", "owner"):
        if old.get(name) != task.get(name):
            edits[name,] = old.get(name, DELETE)
    return edits
