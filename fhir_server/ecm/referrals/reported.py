"""Answers that the requester or the plan records for an organization without a system: who said it, how and when.

They count as the organization's own, and are marked as reported. An organization with a client answers itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from fhir_server.access.relations import local
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.referrals import stamps, supports
from fhir_server.ecm.referrals.parties import ANSWERS_FOR, Parties, parties
from fhir_server.engine import behalf, records, repository
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Transaction
from fhir_server.fhir import wire
from fhir_server.fhir.errors import BadValue, BusinessRule
from fhir_server.fhir.values import parse_date
from fhir_server.store.hashing import rh
from fhir_server.store.resources import Row

Resource = Mapping[str, Any]

_STATES: Final = frozenset({"accepted", "rejected", "in-progress", "on-hold", "completed", "failed", "cancelled"})
_EXPLAINED: Final = frozenset({"rejected", "on-hold", "failed", "cancelled"})
_NAME: Final = "record-answer"


@dataclass(frozen=True)
class Answer:
    """What was said: the state of the Task from now on, by whom, how (a code) and when; the rest as it applies."""

    status: str
    by: str
    channel: str
    at: str
    reason: str = ""
    loop: str = ""
    closure: str = ""
    organization: str = ""


def record(transaction: Transaction, fid: str, tag: int | None, answer: Answer) -> Change:
    """Record an answer; NotFound for a Task that the caller cannot see, BusinessRule if it may not record this one."""
    context = transaction.context
    task = orjson.loads(records.find(context, "Task", fid, _NAME).body)
    _require_plausible(transaction, answer)
    sides = parties(transaction, task)
    _require_recorder(transaction, task, sides)
    performer = _performer(transaction, sides, answer)
    stamp = _stamp(answer, context.caller.org)
    with behalf.acting_for(transaction, str(sides.requester)) as acting:
        acting.notes[ANSWERS_FOR] = performer
        return repository.modify(acting, "Task", fid, tag, lambda row: _answered(row, answer, stamp), required=False)


def _require_plausible(transaction: Transaction, answer: Answer) -> None:
    if answer.status not in _STATES:
        raise BadValue(f"status is one of {', '.join(sorted(_STATES))}.", "status")
    context = transaction.context
    if parse_date(answer.at, context.engine.settings.zone)[0] > context.now:
        raise BadValue("at lies in the future.", "at")
    if not answer.by.strip():
        raise BadValue("by must say who gave the answer.", "by")
    if answer.status in _EXPLAINED and not answer.reason.strip():
        raise BadValue(f"A referral that is {answer.status} needs a reason.", "reason")


def _require_recorder(transaction: Transaction, task: Resource, sides: Parties) -> None:
    patient = local(task.get("for"), "Patient")
    if local(task.get("focus"), "ServiceRequest") is None or patient is None:
        raise BusinessRule("This Task is no referral.")
    if task.get("status") == "draft":
        raise BusinessRule("This referral was not sent yet.")
    plans = supports.plans_of(transaction, patient)
    if not (sides.is_requester or transaction.context.caller.org_hash in plans):
        raise BusinessRule("Only the requester of a referral and the member's plan record an answer to it.")


def _performer(transaction: Transaction, sides: Parties, answer: Answer) -> str:
    wanted = answer.organization or (next(iter(sides.candidates)) if len(sides.candidates) == 1 else "")
    asked = {sides.owner} if sides.owner else sides.candidates
    if wanted not in asked:
        raise BusinessRule("Name as organization one of those whom this referral asks.", "organization")
    if transaction.law_class_of(rh(wanted)) is not None:
        raise BusinessRule("This organization has a system of its own here, and answers by it.", "organization")
    return wanted


def _stamp(answer: Answer, recorder: str) -> dict[str, Any]:
    channel = {"system": words.REPORT_CHANNELS, "code": answer.channel}
    parts = [
        {"url": "by", "valueString": answer.by},
        {"url": "at", "valueDateTime": answer.at},
        {"url": "channel", "valueCoding": channel},
        {"url": "recorder", "valueReference": {"reference": recorder}},
    ]
    return {"url": words.REPORTED_ANSWER, "extension": parts}


def _answered(row: Row, answer: Answer, stamp: dict[str, Any]) -> bytes:
    task = orjson.loads(row.body)
    edits: dict[tuple[str | int, ...], Any] = {
        ("status",): answer.status,
        ("extension",): stamps.with_stamps(task, {words.REPORTED_ANSWER: stamp})["extension"],
    }
    if answer.reason:
        edits["statusReason",] = {"text": answer.reason}
    elif "statusReason" in task:
        edits["statusReason",] = wire.DELETE
    if answer.loop or answer.closure:
        edits["businessStatus",] = {"coding": _codings(answer)}
    if answer.status == "completed" and "output" not in task:
        done = {"coding": [{"system": words.GRAVITY, "code": "resulting-activity"}]}
        edits["output",] = [{"type": done, "valueCodeableConcept": {"text": answer.reason or "Done, as reported"}}]
    return wire.edit(row.body, edits)


def _codings(answer: Answer) -> list[dict[str, str]]:
    codings = [{"system": words.REFERRAL_STATUSES, "code": answer.loop or words.LOOP_CLOSED}]
    if answer.closure:
        codings.append({"system": words.CLOSURE_REASONS, "code": answer.closure})
    return codings
