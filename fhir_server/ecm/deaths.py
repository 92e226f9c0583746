"""A recorded death ends what is still open for the member: referrals and steps are cancelled, and say why.

Each is cancelled as its requester would do it. Who serves the member sees the reason; who was asked and had not
accepted learns of the end alone; the requester finds the reason in the record. Notices to the member stop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fhir_server.access.relations import items, local
from fhir_server.ecm.persons import is_deceased
from fhir_server.ecm.referrals import attempts, states
from fhir_server.ecm.referrals.parties import parties
from fhir_server.ecm.requests import steps
from fhir_server.engine import behalf, repository
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Transaction
from fhir_server.fhir import wire
from fhir_server.fhir.definitions import type_number
from fhir_server.store import merges, resources, rights
from fhir_server.store.hashing import rh

ASKED: Final = "This request has ended. Why stands in the member's record, for those who may see it."
REASON: Final = "A death is recorded for this member. Nothing more is to be done, and nobody is to be called."
_OPEN: Final = "requested,received,accepted,ready,in-progress,on-hold"
_MOST: Final = 100  # Tasks looked up at once


def follow(transaction: Transaction, change: Change) -> None:
    """in_transaction: cancel the open Tasks of a member whose death is recorded by this very change."""
    if change.type != "Patient" or not is_deceased(change.resource) or is_deceased(change.old or {}):
        return
    transaction.flush()
    while found := list(_open(transaction, change)):
        for fid, actor, text in found:
            attempts.cancel(transaction, fid, actor, text)


def _open(transaction: Transaction, change: Change) -> Iterator[tuple[str, str, str]]:
    """(Task's id, organization in whose name it is cancelled, what is said) of every open Task, whoever wrote it."""
    for patient in (change.reference, *_replaced(transaction, change)):
        for organization in _writers(transaction, rh(patient)):
            with behalf.acting_for(transaction, organization) as acting:
                criteria = [("patient", patient), ("status", _OPEN)]
                for hit in repository.lookup(acting, "Task", criteria, limit=_MOST):
                    if hit.owner == acting.caller.org_hash:
                        actor, text = _said(transaction, wire.parse(hit.body))
                        yield hit.fid, actor or organization, text


def _said(transaction: Transaction, task: Mapping[str, Any]) -> tuple[str | None, str]:
    sides = parties(transaction, task)
    if steps.step_of(task):
        return sides.owner, REASON
    waits = task.get("status") == "requested" and states.is_referral(task)
    return sides.requester, ASKED if waits else REASON


def _replaced(transaction: Transaction, change: Change) -> Iterator[str]:
    """The records of the member that were merged into this one."""
    linked = merges.linked(transaction.connection, [change.row.rh])
    names = [local(one.get("other"), "Patient") for one in items(change.resource, "link")]
    yield from (name for name in names if name and rh(name) in linked)


def _writers(transaction: Transaction, patient: int) -> list[str]:
    """The organizations that wrote Tasks for a member."""
    owners = rights.owners_of(transaction.connection, patient, type_number("Task"))
    rows = resources.by_hash(transaction.connection, transaction.context.visible_targets(), owners)
    return sorted(f"Organization/{row.fid}" for row in rows)
