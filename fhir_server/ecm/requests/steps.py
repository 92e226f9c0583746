"""The plan's steps: Tasks with a clock, small state tables, and steps that follow from how another ended.

The table is data: profiles/ecm/steps.json, limits in profiles/ecm/clocks.json. DHCS, ECM Policy Guide: authorization,
assignment, change of provider, discontinuation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final

import orjson

from fhir_server.access import inputs
from fhir_server.access.consequences import live_kinds
from fhir_server.access.relations import items, local
from fhir_server.ecm import clocks, labelled
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.notices import writing as notices
from fhir_server.ecm.referrals import stamps, supports
from fhir_server.ecm.referrals.parties import Parties, parties, referred
from fhir_server.engine import behalf, repository, writing
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Edits, Transaction
from fhir_server.fhir.errors import BusinessRule
from fhir_server.fhir.folders import data_folder
from fhir_server.fhir.values import instant
from fhir_server.store.hashing import rh

Resource = Mapping[str, Any]

PLAN, EITHER = "plan", "either"
FOLLOWS: Final = "the step that is followed"  # the note by which the server begins a step
MOVES: Final = {
    ("requested", "in-progress"): PLAN,
    ("requested", "completed"): PLAN,
    ("in-progress", "on-hold"): PLAN,
    ("on-hold", "in-progress"): PLAN,
    ("in-progress", "completed"): PLAN,
    ("requested", "cancelled"): EITHER,
    ("in-progress", "cancelled"): PLAN,
    ("on-hold", "cancelled"): PLAN,
}
FIXED: Final = ("for", "basedOn", "requester", "owner", "code", "intent", "authoredOn", "restriction")
_ENDED: Final = frozenset({"completed", "cancelled"})
_ACTION: Final = "notice-of-action"


@cache
def table() -> Mapping[str, Mapping[str, Any]]:
    """The rows of the table by the code of the step."""
    read: Mapping[str, Any] = orjson.loads((data_folder("profiles") / "ecm" / "steps.json").read_bytes())
    return {row["code"]: row for row in read["steps"]}


def step_of(task: Resource) -> str | None:
    """The code of the plan's step that a Task is; None if it is none."""
    return next(iter(_codes(task.get("code"), words.STEPS)), None)


def outcome_of(task: Resource) -> str | None:
    """How a step ended; None while it has not."""
    return next(iter(_codes(task.get("businessStatus"), words.STEP_OUTCOMES)), None)


def check(transaction: Transaction, change: Change) -> Edits | None:
    """before_write: refuse what the table does not allow (BusinessRule), else set when the step is due."""
    if change.type != "Task":  # other types have a `code` of another shape
        return None
    task, old = change.resource, change.old or {}
    step = step_of(old) or step_of(task)
    if step is None:
        return None
    if change.interaction == "delete":
        raise BusinessRule("A step of the plan is not deleted. Cancel it.")
    if step not in table():
        raise BusinessRule("There is no such step.", "Task.code")
    if not old:
        return _begun(transaction, task, step)
    return _moved(transaction, task, old, step)


def _begun(transaction: Transaction, task: Resource, step: str) -> Edits:
    patient, sides = local(task.get("for"), "Patient"), parties(transaction, task)
    after = transaction.context.notes.get(FOLLOWS)
    if task.get("status") != "requested":
        raise BusinessRule("A step of the plan begins as requested.", "Task.status")
    if after is None:
        if patient is None or referred(transaction, task["for"], "Patient") is None:
            raise BusinessRule("Task.for must be a Patient here that you can see.", "Task.for")
        _require_starter(transaction, patient, step, sides)
        _require_plans_word(task, {}, is_plan=sides.caller == sides.owner)
    due = _due(transaction, task, step, after or "")
    stamped = stamps.with_stamps(task, {words.DUE_BY: {"url": words.DUE_BY, "valueDateTime": due} if due else None})
    return stamps.edits(stamped, task)


def _require_starter(transaction: Transaction, patient: str, step: str, sides: Parties) -> None:
    plans, caller = supports.plans_of(transaction, patient), transaction.context.caller
    if sides.owner is None or rh(sides.owner) not in plans:
        raise BusinessRule("Task.owner must be the member's plan.", "Task.owner")
    if not sides.is_requester:
        raise BusinessRule("Task.requester must be your own organization, or a role in it.", "Task.requester")
    found = inputs.inputs(transaction.connection, [rh(patient)])[rh(patient)]
    kinds = live_kinds(found, caller.org_hash, transaction.context.now)
    who = {"plan"} if caller.org_hash in plans else {"provider"} if kinds else set()
    if not who & set(table()[step]["starts"]):
        allowed = " or ".join(table()[step]["starts"]) or "server"
        raise BusinessRule(f"The step {step} is begun by the {allowed}.", "Task.code")


def _due(transaction: Transaction, task: Resource, step: str, after: str) -> str | None:
    context = transaction.context
    requests = [referred(transaction, one, "ServiceRequest") for one in items(task, "basedOn")]
    kinds = [code for one in requests if one for kind in items(one, "category") for code in _codes(kind)]
    priority = str(task.get("priority", "routine"))
    zone = context.engine.settings.zone
    return clocks.deadline(step, context.now, zone, category=kinds, priority=priority, after=after)


def _moved(transaction: Transaction, task: Resource, old: Resource, step: str) -> Edits:
    sides, before, after = parties(transaction, old), str(old.get("status")), str(task.get("status"))
    for name in FIXED:
        if old.get(name) != task.get(name):
            raise BusinessRule(f"Task.{name} of a step stays as it is.", f"Task.{name}")
    is_plan = sides.caller == sides.owner
    if not (is_plan or sides.is_requester):
        raise BusinessRule("Only the plan and who began it may change a step.")
    _require_plans_word(task, old, is_plan=is_plan)
    if before in _ENDED:
        raise BusinessRule(f"This step is {before}, which is final. Begin a new one.", "Task.status")
    if before != after:
        who = MOVES.get((before, after))
        if who is None or not (is_plan or who == EITHER):
            raise BusinessRule(f"The step cannot go from {before} to {after} by you.", "Task.status")
    _require_outcome(task, table()[step], after)
    kept = stamps.with_stamps(task, {words.DUE_BY: stamps.stamp(old, words.DUE_BY)})
    return stamps.edits(kept, task)


def _require_plans_word(task: Resource, old: Resource, *, is_plan: bool) -> None:
    if not is_plan and stamps.stamp(task, words.AUTHORIZATION) != stamps.stamp(old, words.AUTHORIZATION):
        raise BusinessRule("The authorization is for the member's plan to record.", "Task.extension")


def _require_outcome(task: Resource, row: Mapping[str, Any], status: str) -> None:
    outcome, reason = outcome_of(task), str(task.get("statusReason", {}).get("text", "")).strip()
    if status == "cancelled" and not reason:
        raise BusinessRule("A step that is cancelled needs statusReason, with a text.", "Task.statusReason")
    if (outcome is None) != (status != "completed"):
        message = "A step has an outcome in businessStatus when it is completed, not before."
        raise BusinessRule(message, "Task.businessStatus")
    if outcome is None:
        return
    if outcome not in row["outcomes"]:
        raise BusinessRule(f"This step ends as {' or '.join(row['outcomes'])}.", "Task.businessStatus")
    if outcome in row.get("explained", ()) and not reason:
        raise BusinessRule(f"The outcome {outcome} needs statusReason, with a text.", "Task.statusReason")
    if outcome in row.get("assigns", ()):
        _require_assignment(task, reason)


def _require_assignment(task: Resource, reason: str) -> None:
    """The provider and on which basis; the preference comes first, and passing it over is explained."""
    bases = [code for one in items(task, "output") for code in _codes(one.get("valueCodeableConcept"), words.BASES)]
    if assigned(task) is None or len(bases) != 1:
        message = "Name in Task.output the provider (valueReference) and one basis (a code of ecm-assignment-basis)."
        raise BusinessRule(message, "Task.output")
    if bases != ["member-preference"] and preferred(task) and assigned(task) not in preferred(task) and not reason:
        raise BusinessRule("The member prefers another provider: say in statusReason why not.", "Task.statusReason")


def assigned(task: Resource) -> str | None:
    """The provider that a step assigned, as Organization/id."""
    found = [local(one.get("valueReference"), "Organization") for one in items(task, "output")]
    return next(filter(None, found), None)


def preferred(task: Resource) -> list[str]:
    """The providers whom the member prefers, as the request said."""
    found = [local(one.get("valueReference"), "Organization") for one in items(task, "input")]
    return [name for name in found if name]


# ---- what follows ----------------------------------------------------------------------------------------------------


def follow(transaction: Transaction, change: Change) -> None:
    """in_transaction: begin the steps that follow from how this one ended, as the plan would."""
    if change.type != "Task" or change.interaction == "delete":
        return
    step, outcome = step_of(change.resource), outcome_of(change.resource)
    if step is None or outcome is None or outcome_of(change.old or {}) is not None:
        return
    plan = str(parties(transaction, change.resource).owner)
    following_steps = table()[step]["outcomes"][outcome]
    if _ACTION in following_steps:
        decision = transaction.context.engine.terminology.display(words.STEP_OUTCOMES, outcome) or outcome
        notices.tell_of_action(transaction, change, plan, decision)
    for following in following_steps:
        begin(
            transaction, plan, following, change.resource, after=step, labels=change.row.labels, cause=change.reference
        )


def begin(
    transaction: Transaction, plan: str, step: str, like: Resource, *, after: str, labels: int, cause: str = ""
) -> Change:
    """Begin a step of the plan about the same member and request as `like`, as sensitive as `labels` say."""
    new: dict[str, Any] = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "priority": like.get("priority", "routine"),
        "code": {"coding": [{"system": words.STEPS, "code": step}]},
        "authoredOn": instant(transaction.context.now),
        "requester": {"reference": plan},
        "owner": {"reference": plan},
        **{name: like[name] for name in ("for", "basedOn", "input") if name in like},
        **(_authorization(like) if table()[step].get("assigns") else {}),
        **({"partOf": [{"reference": cause}]} if cause else {}),
    }
    if security := labelled.security(labels):
        new["meta"] = {"security": security}
    with behalf.acting_for(transaction, plan) as acting:
        acting.notes[FOLLOWS] = after
        return repository.create(acting, writing.built(acting, "Task", new))


def _authorization(like: Resource) -> dict[str, Any]:
    """The extension by which an authorization goes on to the step that assigns."""
    found = stamps.stamp(like, words.AUTHORIZATION)
    return {"extension": [found]} if found else {}


def _codes(concept: Resource | None, system: str = "") -> Iterator[str]:
    codings: Iterable[Resource] = (concept or {}).get("coding", [])
    yield from (str(one.get("code")) for one in codings if not system or one.get("system") == system)
