"""Extensions of a referral that a client does not change: what the server sets, and what is settled when it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fhir_server.ecm import clocks
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.referrals import supports
from fhir_server.ecm.referrals.parties import ANSWERS_FOR, Parties
from fhir_server.engine.context import Edits, Transaction
from fhir_server.fhir.errors import BusinessRule
from fhir_server.fhir.wire import DELETE
from fhir_server.store.hashing import rh

Resource = Mapping[str, Any]
Stamp = Mapping[str, Any] | None

KEPT: Final = (words.ANSWER_BY, words.REASSIGNMENT, words.ENDS_WITH_ACCEPTANCE)


def of_new(transaction: Transaction, task: Resource, request: Resource | None, sides: Parties) -> Resource:
    """A referral that is prepared or sent now, with what the server sets; a draft has nothing of it yet."""
    sent = request is not None and task.get("status") == "requested"
    due = _answer_by(transaction, task, request or {}, sides) if sent else None
    return with_stamps(task, {words.ANSWER_BY: due, words.REPORTED_ANSWER: None})


def of_sent(transaction: Transaction, task: Resource, old: Resource, sides: Parties) -> Resource:
    """A sent referral with what it was sent with; BusinessRule if the client says otherwise.

    How an answer was reported stays with it until the organization answers by itself.
    """
    stamps = {url: stamp(old, url) for url in (*KEPT, words.REPORTED_ANSWER)}
    if ANSWERS_FOR in transaction.context.notes:
        del stamps[words.REPORTED_ANSWER]
    for url, was in stamps.items():
        if stamp(task, url) not in (None, was):
            raise BusinessRule(f"The extension {url.rpartition('/')[2]} stays as it is.", "Task.extension")
    if sides.is_performer and task.get("status") != old.get("status") and words.REPORTED_ANSWER in stamps:
        stamps[words.REPORTED_ANSWER] = None
    return with_stamps(task, stamps)


def edits(task: Resource, given: Resource) -> Edits:
    """What makes the extensions of the Task that was given those of `task`."""
    if task.get("extension") == given.get("extension"):
        return {}
    return {("extension",): task.get("extension", DELETE)}


def stamp(resource: Resource, url: str) -> Stamp:
    """The first extension of this URL, None if there is none."""
    return next((one for one in resource.get("extension", []) if one.get("url") == url), None)


def with_stamps(resource: Resource, stamps: Mapping[str, Stamp]) -> Resource:
    """The resource with these extensions, by URL, in place of those it has."""
    kept = [one for one in resource.get("extension", []) if one.get("url") not in stamps]
    kept += [one for one in stamps.values() if one is not None]
    others = {name: value for name, value in resource.items() if name != "extension"}
    return {**others, "extension": kept} if kept else others


def _answer_by(transaction: Transaction, task: Resource, request: Resource, sides: Parties) -> Stamp:
    context, patient = transaction.context, str(task["for"]["reference"])
    asked = {rh(name) for name in sides.candidates}
    due = clocks.deadline(
        "answer",
        context.now,
        context.engine.settings.zone,
        service=_codes(request.get("code")),
        category=[code for concept in request.get("category", []) for code in _codes(concept)],
        to="plan" if asked <= supports.plans_of(transaction, patient) else "provider",
        priority=str(task.get("priority", "routine")),
    )
    return {"url": words.ANSWER_BY, "valueDateTime": due} if due else None


def _codes(concept: Resource | None) -> list[str]:
    return [str(coding.get("code")) for coding in (concept or {}).get("coding", [])]
