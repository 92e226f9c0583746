"""Closed-loop referrals: who may take a Task from which state to which, and what each move means for the loop.

SDOH Clinical Care, referral workflow (http://hl7.org/fhir/us/sdoh-clinicalcare); the DHCS closed-loop referral
requirements of 1 July 2025. Closing the loop is not completing the Task: the closure may be recorded when services
begin, while the Task stays in progress.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.parties import Parties, parties
from fhir_server.engine.hooks import Edits
from fhir_server.engine.transaction import Change, Transaction
from fhir_server.fhir.errors import BusinessRule
from fhir_server.fhir.wire import DELETE

REQUESTER, PERFORMER, EITHER = "requester", "performer", "either"

NEW = frozenset({"draft", "requested"})
TERMINAL = frozenset({"rejected", "completed", "failed", "cancelled", "entered-in-error"})
MOVES = {
    ("draft", "requested"): REQUESTER,
    ("draft", "cancelled"): REQUESTER,
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
    **{(state, "entered-in-error"): REQUESTER for state in (*NEW, "accepted", "in-progress", "on-hold", *TERMINAL)},
}
FIXED = ("for", "focus", "requester", "intent", "code", "authoredOn", "partOf")
_LOOP_STATUS = {
    "requested": "pending",
    "accepted": "accepted",
    "rejected": "declined",
    "in-progress": "outreach-initiated",
    "completed": words.LOOP_CLOSED,
    "failed": words.LOOP_CLOSED,
    "cancelled": words.LOOP_CLOSED,
}
_REASONS = {"completed": words.SERVICES_RECEIVED, "rejected": "provider-declined"}


def is_referral(task: Mapping[str, Any]) -> bool:
    """Whether a Task asks for a service: its focus is a ServiceRequest."""
    return str(task.get("focus", {}).get("reference", "")).startswith("ServiceRequest/")


def check(transaction: Transaction, change: Change) -> Edits | None:
    """before_write: refuse an illegal move (BusinessRule), else return what the server records with it."""
    task = change.resource
    if change.type != "Task" or change.interaction == "delete":
        return _check_delete(change) if change.type == "Task" else None
    if not is_referral(change.old or task):  # a Task that was a referral stays one
        return None
    sides = parties(transaction, task, change.old or {})
    if change.old:
        return _moved(transaction, change, sides)
    _require_new(task, sides)
    return _loop_edits(transaction, task, "")


def _check_delete(change: Change) -> None:
    if change.old and is_referral(change.old) and change.old.get("status") != "draft":
        raise BusinessRule("A sent referral is not deleted, so that its loop is never lost. Set it entered-in-error.")


def _require_new(task: Mapping[str, Any], sides: Parties) -> None:
    if task.get("status") not in NEW:
        raise BusinessRule("A new referral starts as draft or requested.", "Task.status")
    if not sides.is_requester:
        raise BusinessRule("Task.requester must be your own organization, or a role in it.", "Task.requester")
    if task.get("status") == "requested" and not sides.candidates:
        message = "A requested referral needs a Task.owner, or candidates in Task.restriction.recipient."
        raise BusinessRule(message, "Task.owner")


def _moved(transaction: Transaction, change: Change, sides: Parties) -> Edits:
    old, task = change.old or {}, change.resource
    before, after = old.get("status"), task.get("status")
    _require_fixed(old, task)
    if before == after:
        if before in TERMINAL:
            raise BusinessRule(f"This referral is {before}, which is final. Send a new Task for a new attempt.")
        _require_same_owner(old, task)
        return _loop_edits(transaction, task, str(before), old)
    side = MOVES.get((str(before), str(after)))
    if side is None:
        raise BusinessRule(f"A referral cannot go from {before} to {after}.", "Task.status")
    _require_side(side, sides, str(before), str(after))
    if before == "requested" and after == "rejected" and sides.others:
        return _step_back(task, sides)
    edits: dict[tuple[str | int, ...], Any] = {}
    if after == "accepted":
        edits |= _claim(task, sides)
    else:
        _require_same_owner(old, task)
    return {**edits, **_loop_edits(transaction, task, str(before), old)}


def _require_fixed(old: Mapping[str, Any], task: Mapping[str, Any]) -> None:
    if old.get("status") == "draft":
        return
    for name in FIXED:
        if old.get(name) != task.get(name):
            raise BusinessRule(f"Task.{name} cannot change once the referral was sent.", f"Task.{name}")
    if old.get("restriction") != task.get("restriction"):
        message = "The candidates of a sent referral stay as they are. Send a new Task on the same ServiceRequest."
        raise BusinessRule(message, "Task.restriction")


def _require_same_owner(old: Mapping[str, Any], task: Mapping[str, Any]) -> None:
    if old.get("owner") != task.get("owner") and old.get("status") != "draft":
        raise BusinessRule("Task.owner is set by the organization that accepts.", "Task.owner")


def _require_side(side: str, sides: Parties, before: str, after: str) -> None:
    allowed = {REQUESTER: sides.is_requester, PERFORMER: sides.is_performer}
    if not (any(allowed.values()) if side == EITHER else allowed[side]):
        raise BusinessRule(f"Only the {side} may take this referral from {before} to {after}.", "Task.status")


def _claim(task: Mapping[str, Any], sides: Parties) -> Edits:
    """Who accepts an open referral becomes its owner; the claim ends the others (SD-41)."""
    if sides.owner is None:
        return {("owner",): {"reference": sides.caller}}
    if sides.owner != sides.caller:
        raise BusinessRule("Accept for your own organization: Task.owner names another one.", "Task.owner")
    return {}


def _step_back(task: Mapping[str, Any], sides: Parties) -> Edits:
    """One of several candidates declines: it leaves the list, and the referral stays open for the others."""
    left = [{"reference": name} for name in sorted(sides.others)]
    kept = {**task.get("restriction", {}), "recipient": left}
    edits: dict[tuple[str | int, ...], Any] = {("status",): "requested", ("restriction",): kept}
    if "statusReason" in task:
        edits["statusReason",] = DELETE
    return edits


def _loop_edits(
    transaction: Transaction, task: Mapping[str, Any], before: str, old: Mapping[str, Any] | None = None
) -> Edits:
    """Keep businessStatus, the closed-loop referral status, in step with the Task and dated."""
    given, was = task.get("businessStatus"), (old or {}).get("businessStatus")
    if given != was and given is not None:
        _require_status(given, was)
        return {} if _date_of(given) else {("businessStatus",): _dated(transaction, given)}
    status = str(task.get("status"))
    if status == before or status not in _LOOP_STATUS or _is_closed(was):
        return {}
    codings = [_coding(words.REFERRAL_STATUSES, _LOOP_STATUS[status])]
    if status in {"completed", "failed", "cancelled"}:
        codings.append(_coding(words.CLOSURE_REASONS, _closure_reason(task, status)))
    return {("businessStatus",): _dated(transaction, {"coding": codings})}


def _closure_reason(task: Mapping[str, Any], status: str) -> str:
    for coding in task.get("statusReason", {}).get("coding", []):
        if coding.get("system") == words.CLOSURE_REASONS:
            return str(coding.get("code"))
    return _REASONS.get(status, "other")


def _require_status(given: Mapping[str, Any], was: Mapping[str, Any] | None) -> None:
    codes = {
        coding.get("code") for coding in given.get("coding", []) if coding.get("system") == words.REFERRAL_STATUSES
    }
    reasons = [coding for coding in given.get("coding", []) if coding.get("system") == words.CLOSURE_REASONS]
    if words.LOOP_CLOSED in codes and not reasons:
        raise BusinessRule("A closed loop needs its reason as a second coding.", "Task.businessStatus")
    if _is_closed(was) and words.LOOP_CLOSED not in codes:
        raise BusinessRule("A closed loop stays closed. Send a new Task for a new attempt.", "Task.businessStatus")


def _is_closed(status: Mapping[str, Any] | None) -> bool:
    return any(coding.get("code") == words.LOOP_CLOSED for coding in (status or {}).get("coding", []))


def _date_of(status: Mapping[str, Any]) -> bool:
    return any(item.get("url") == words.REFERRAL_STATUS_DATE for item in status.get("extension", []))


def _dated(transaction: Transaction, status: Mapping[str, Any]) -> dict[str, Any]:
    now = datetime.fromtimestamp(transaction.context.now / 1000, UTC).isoformat(timespec="seconds")
    return {"extension": [{"url": words.REFERRAL_STATUS_DATE, "valueDateTime": now}], **status}


def _coding(system: str, code: str) -> dict[str, str]:
    return {"system": system, "code": code}
