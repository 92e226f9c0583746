"""What a step of the plan ends with changes roster and care team as a file of that one member would, at once.

Which outcome does what is data (`roster` in profiles/ecm/steps.json). The outcome is remembered beside the plan's files
as a word of its own, so that recalling a file keeps it. DHCS, ECM Policy Guide: authorization, assignment,
discontinuation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import orjson

from fhir_server.access.relations import items, local
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.facets import codes_in
from fhir_server.ecm.files.assignments import importing
from fhir_server.ecm.files.assignments.intake import RIGHT
from fhir_server.ecm.referrals.parties import parties, referred
from fhir_server.ecm.requests import placing, steps
from fhir_server.ecm.rosters import contracts, groups, publishing
from fhir_server.engine import behalf
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Transaction
from fhir_server.fhir.errors import BusinessRule, Conflict
from fhir_server.store import loads, members, resources
from fhir_server.store.hashing import rh
from fhir_server.store.loads import Load
from fhir_server.store.members import Member
from fhir_server.store.resources import TENANT, Row

Resource = Mapping[str, Any]
Places = Sequence[tuple[Member, Row]]  # the member's rows in rosters of the plan, left ones among them, and the rosters
Deed = Callable[[Transaction, Resource, str, Places], dict[str, str]]

_ECM: Final = "enhanced-care-management"
_AGAIN: Final = {"Retry-After": "30"}


def follow(transaction: Transaction, change: Change) -> None:
    """in_transaction: what this step has just ended with changes the member's place.

    BusinessRule for an assignment that no file could make; Conflict (409) while a file of the plan is being taken in.
    """
    if change.type != "Task" or change.interaction == "delete":
        return
    task, step = change.resource, steps.step_of(change.resource)
    outcome, patient = steps.outcome_of(task), local(task.get("for"), "Patient")
    if step is None or outcome is None or patient is None or steps.outcome_of(change.old or {}) is not None:
        return
    deed = steps.table()[step].get("roster", {}).get(outcome)
    plan = parties(transaction, task).owner
    if deed is None or plan is None:
        return
    with behalf.acting_for(transaction, plan), _writing_rosters(transaction):
        if _is_about_ecm(transaction, task):
            _do(transaction, change, _DEEDS[deed], patient)


@contextmanager
def _writing_rosters(transaction: Transaction) -> Iterator[None]:
    """Rosters may be written until the block ends, and not by what else stands in the transaction."""
    before = groups.IMPORTING in transaction.marks
    transaction.marks.add(groups.IMPORTING)
    try:
        yield
    finally:
        if not before:
            transaction.marks.discard(groups.IMPORTING)


def _is_about_ecm(transaction: Transaction, task: Resource) -> bool:
    """Whether the step is about ECM: no request says that it is about something else."""
    requests = [referred(transaction, one, "ServiceRequest") for one in items(task, "basedOn")]
    kinds = [set(codes_in(one.get("category", []), words.SERVICE_CATEGORIES)) for one in requests if one]
    return not requests or any(_ECM in found for found in kinds)


def _do(transaction: Transaction, change: Change, deed: Deed, patient: str) -> None:
    """Change the member's places, publish the rosters, and remember whose word it was."""
    first = len(transaction.changes)
    places = _places(transaction, patient)
    for _, group in places:
        _require_settled(transaction, group)
    touched = deed(transaction, change.resource, patient, places)
    if not touched:
        return
    context, word = transaction.context, change.row.fid
    said = orjson.dumps({"step": change.reference})
    owner, now = context.caller.org_hash, context.now
    loads.put(
        transaction.connection,
        transaction.batch,
        Load(TENANT, word, owner, loads.IN_FORCE, loads.STEP, "", "", now, said),
    )
    transaction.flush()
    published = {fid: publishing.publish(transaction, fid) for fid in sorted(touched)}
    importing.stand(transaction, word, {provider: fid for fid, provider in touched.items()}, published)
    transaction.audit("step-outcome", 200, transaction.changes[first:])


def _places(transaction: Transaction, patient: str) -> Places:
    transaction.flush()
    found = members.of_patients(transaction.connection, [rh(patient)]).get(rh(patient), [])
    visible, owner = transaction.context.visible_targets(), transaction.context.caller.org_hash
    rosters = resources.by_hash(transaction.connection, visible, [row.grp for row in found])
    own = {group.rh: group for group in rosters if group.owner == owner}
    return [(row, own[row.grp]) for row in found if row.grp in own]


def _require_settled(transaction: Transaction, group: Row) -> None:
    if publishing.is_pending(transaction, group.fid):
        message = "An assignment file of this roster is being taken in. Record the outcome again when that is done."
        raise Conflict(message, headers=_AGAIN)


# ---- the deeds: what is touched, Group id -> provider id -------------------------------------------------------------


def _enter(transaction: Transaction, task: Resource, patient: str, places: Places) -> dict[str, str]:
    """The member is the assigned provider's, and no other's."""
    plan = transaction.context.caller.org
    if not behalf.has_right(transaction.context, plan, RIGHT):
        raise BusinessRule(f"Members are assigned by a plan that is registered with the right {RIGHT}.", "Task.owner")
    given = placing.provider(transaction.context, steps.assigned(task) or "")
    group = contracts.roster(transaction, plan, given.provider)
    transaction.flush()
    _require_settled(transaction, group)
    placing.enter(transaction, group, patient, [row for row, _ in places], given, placing.authorization(task))
    others = [(row, place) for row, place in places if place.rh != group.rh]
    return {group.fid: given.provider.id, **_left(transaction, others)}


def _leave(transaction: Transaction, _: Resource, __: str, places: Places) -> dict[str, str]:
    return _left(transaction, places)


def _deny(transaction: Transaction, _: Resource, __: str, places: Places) -> dict[str, str]:
    """Who stands there by an authorization that has ended leaves; one in force is not taken by a denied request."""
    return _left(transaction, [(row, place) for row, place in places if row.ends <= transaction.context.now])


def _authorize(transaction: Transaction, task: Resource, _: str, places: Places) -> dict[str, str]:
    """Who is on a roster has the authorization there; who is on none waits for the assignment."""
    said = placing.authorization(task)
    if said is None:
        return {}
    standing = [(row, place) for row, place in places if row.change != "dropped"]
    for row, group in standing:
        placing.change(transaction, group, row, placing.authorized(row, said))
    return {group.fid: row.provider_fid for row, group in standing}


def _left(transaction: Transaction, places: Places) -> dict[str, str]:
    leaving = [(row, group) for row, group in places if row.change != "dropped"]
    for row, group in leaving:
        publishing.drop(transaction, group.fid, [row])
    return {group.fid: row.provider_fid for row, group in leaving}


_DEEDS: Final[Mapping[str, Deed]] = {"enter": _enter, "leave": _leave, "deny": _deny, "authorize": _authorize}
