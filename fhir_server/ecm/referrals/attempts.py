"""Several attempts at one request: reassignment, parallel referrals, and the first requester who follows them all.

SDOH Clinical Care, referral workflow: a new attempt is a new Task on the same ServiceRequest (SD-42).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fhir_server.access.relations import local
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.referrals import stamps, supports
from fhir_server.ecm.referrals.parties import Parties, parties, referred
from fhir_server.engine import access_rows, behalf, repository
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Transaction
from fhir_server.fhir import wire
from fhir_server.fhir.errors import BusinessRule
from fhir_server.fhir.values import parse_date
from fhir_server.store import resources
from fhir_server.store.db import lock_key
from fhir_server.store.hashing import rh

Resource = Mapping[str, Any]

_OVER: Final = frozenset({"rejected", "cancelled", "failed"})
_NOT_SHOWN: Final = frozenset({"draft", "entered-in-error"})
_MOST: Final = 100  # parallel referrals of one request that are looked at
_AT: Final = "Task.extension"


def replace_earlier(transaction: Transaction, task: Resource) -> None:
    """End the attempt that a new one replaces, if it is still open; BusinessRule if it cannot be replaced.

    The requester may replace it at any time, the member's plan once it is over or its answer is late.
    """
    parts = reassignment(task)
    if parts is None:
        return
    earlier = referred(transaction, parts["replaces"], "Task")
    if earlier is None or local(earlier.get("focus")) != local(task.get("focus")):
        raise BusinessRule("A reassignment replaces a Task that you can see, on the same ServiceRequest.", _AT)
    sides = parties(transaction, earlier)
    if not (sides.is_requester or _is_plan(transaction, task)):
        raise BusinessRule("A referral is reassigned by its requester or by the member's plan.", _AT)
    if earlier.get("status") not in _OVER:
        _require_replaceable(transaction, earlier, sides)
        text = f"Reassigned: {parts['reason'].get('display') or parts['reason'].get('code')}"
        cancel(transaction, str(earlier["id"]), str(sides.requester), text)


def reassignment(task: Resource) -> Mapping[str, Any] | None:
    """What a Task replaces (a Reference) and the reason (a Coding); None if it is no reassignment."""
    found = stamps.stamp(task, words.REASSIGNMENT)
    if found is None:
        return None
    values = {part["url"]: part.get("valueReference") or part.get("valueCoding") for part in found["extension"]}
    return {"replaces": values["replaces"], "reason": values["reason"]}


def _is_plan(transaction: Transaction, task: Resource) -> bool:
    return transaction.context.caller.org_hash in supports.plans_of(transaction, str(local(task.get("for"), "Patient")))


def _require_replaceable(transaction: Transaction, earlier: Resource, sides: Parties) -> None:
    if earlier.get("status") != "requested":
        message = f"The earlier referral is {earlier.get('status')}. Cancel it first, or let it come to its end."
        raise BusinessRule(message, _AT)
    if not sides.is_requester and not is_late(transaction, earlier):
        raise BusinessRule("The earlier referral may still be answered: its answer-by date is to come.", _AT)


def is_late(transaction: Transaction, task: Resource) -> bool:
    """Whether the answer-by date of a Task is over; a Task without one waits for nothing."""
    found = stamps.stamp(task, words.ANSWER_BY)
    context = transaction.context
    return not found or parse_date(found["valueDateTime"], context.engine.settings.zone)[0] < context.now


def cancel(transaction: Transaction, fid: str, requester: str, text: str) -> None:
    """Cancel a Task as its requester would, in this transaction."""
    ended: dict[tuple[str | int, ...], Any] = {("status",): "cancelled", ("statusReason",): {"text": text}}
    with behalf.acting_for(transaction, requester) as context:
        repository.modify(context, "Task", fid, None, lambda row: wire.edit(row.body, ended), required=False)


def end_parallel(transaction: Transaction, fid: str, task: Resource) -> None:
    """Cancel what is still open of the parallel referrals that were to end when one is accepted: `fid` is.

    Of two that are accepted at the same instant the second one waits here, and then finds its own Task cancelled.
    """
    focus, requester = str(local(task.get("focus"))), parties(transaction, task).requester
    lock_key(transaction.connection, rh(focus))
    if requester is None:
        return
    with behalf.acting_for(transaction, requester) as context:
        hits = repository.lookup(context, "Task", [("focus", focus), ("status", "requested")], limit=_MOST)
        others = [(hit.fid, wire.parse(hit.body)) for hit in hits if hit.fid != fid]
        open_ = [one for one in others if _ends(one[1]) and parties(transaction, one[1]).is_requester]
    for other, _ in open_:
        cancel(transaction, other, requester, "Another organization accepted the request")


def _ends(task: Resource) -> bool:
    return bool((stamps.stamp(task, words.ENDS_WITH_ACCEPTANCE) or {}).get("valueBoolean"))


def follow(transaction: Transaction, change: Change) -> None:
    """in_transaction: whoever wrote a request sees every attempt at it, also those that others make."""
    task = change.resource
    request = local(task.get("focus"), "ServiceRequest") if change.type == "Task" else None
    if request is None or task.get("status") in _NOT_SHOWN:
        return
    transaction.flush()
    visible = transaction.context.visible_targets()
    rows = resources.by_hash(transaction.connection, visible, [rh(request)])
    sides = parties(transaction, task)
    shown = {rh(name) for name in (sides.requester, *sides.candidates) if name}
    for row in rows:
        if row.owner not in shown:
            access_rows.show(transaction, change.row, row.owner)
