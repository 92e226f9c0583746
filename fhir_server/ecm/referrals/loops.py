"""The loop of a referral: Task.businessStatus, the referral status that DHCS asks for, with its reason and date.

Closing the loop is not completing the Task: who serves the member may record the closure when services begin, while
the Task stays in progress. A closed loop stays closed, with the reason and the date it was closed with.
DHCS closed-loop referral requirements of 1 July 2025; see terminology/ecm, ecm-referral-status.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from fhir_server.ecm import vocabulary as words
from fhir_server.engine.context import Edits
from fhir_server.fhir.errors import BusinessRule

Concept = Mapping[str, Any]

# Task.status -> the referral statuses that go with it; the first is what the server records if nobody says
FITTING: Final[Mapping[str, tuple[str, ...]]] = {
    "draft": ("pending",),
    "requested": ("pending",),
    "accepted": ("accepted", "outreach-initiated"),
    "in-progress": ("outreach-initiated", "accepted", words.LOOP_CLOSED),
    "on-hold": ("outreach-initiated", "accepted", words.LOOP_CLOSED),
    "rejected": ("declined", words.LOOP_CLOSED),
    "completed": (words.LOOP_CLOSED,),
    "failed": (words.LOOP_CLOSED,),
    "cancelled": (words.LOOP_CLOSED,),
}
RETURNED: Final = "return-file"  # the mark of a transaction that records what the performer's return file says
_SILENT: Final = frozenset({"draft", "on-hold", "entered-in-error"})  # reaching these says nothing of the loop
_REASONS: Final = {"completed": words.SERVICES_RECEIVED, "rejected": "provider-declined"}
_WITH_REASON: Final = frozenset({"rejected", "completed", "failed", "cancelled"})
_PATH: Final = ("businessStatus",)


def kept_in_step(task: Mapping[str, Any], old: Mapping[str, Any], now: int, *, may_say: bool) -> Edits:
    """The edits that keep businessStatus true to the Task; BusinessRule for what does not fit.

    `may_say`: whether this caller may state it, as the performer does at any time and a requester when it moves the
    Task. `now` dates a status that comes without a date of its own.
    """
    given, was = task.get("businessStatus"), old.get("businessStatus")
    status = str(task.get("status"))
    if is_closed(was):
        return _as_closed(given, was)
    if given is not None and given != was:
        _require_fitting(given, status, may_say=may_say)
        return {_PATH: _dated(given, now)} if _date(given) in (None, _date(was)) else {}
    if status != old.get("status") and status not in _SILENT:
        return {_PATH: _dated({"coding": _codings(task, status)}, now)}
    return {_PATH: was} if was is not None and given is None else {}


def is_closed(status: Concept | None) -> bool:
    """Whether a businessStatus says that the loop is closed."""
    return words.LOOP_CLOSED in _codes(status, words.REFERRAL_STATUSES)


def _as_closed(given: Concept | None, was: Any) -> Edits:
    if given is not None and _said(given) != _said(was):
        message = "A closed loop stays closed, and for the same reason. Send a new Task for a new attempt."
        raise BusinessRule(message, "Task.businessStatus")
    return {} if given == was else {_PATH: was}


def _require_fitting(given: Concept, status: str, *, may_say: bool) -> None:
    if not may_say:
        raise BusinessRule("The referral status is recorded by the performer of the Task.", "Task.businessStatus")
    codes = _codes(given, words.REFERRAL_STATUSES)
    for code in codes:
        if code not in FITTING.get(status, (code,)):
            fitting = " or ".join(FITTING[status])
            message = f"While the Task is {status} the referral status is {fitting}, not {code[:64]}."
            raise BusinessRule(message, "Task.businessStatus")
    if words.LOOP_CLOSED in codes and not _codes(given, words.CLOSURE_REASONS):
        raise BusinessRule("A closed loop needs its reason as a second coding.", "Task.businessStatus")


def _codings(task: Mapping[str, Any], status: str) -> list[dict[str, str]]:
    found = [{"system": words.REFERRAL_STATUSES, "code": FITTING[status][0]}]
    if status in _WITH_REASON:
        stated = _codes(task.get("statusReason"), words.CLOSURE_REASONS)
        reason = stated[0] if stated else _REASONS.get(status, "other")
        found.append({"system": words.CLOSURE_REASONS, "code": reason})
    return found


def _codes(concept: Concept | None, system: str) -> list[str]:
    codings = (concept or {}).get("coding", [])
    return [str(coding.get("code")) for coding in codings if coding.get("system") == system]


def _said(status: Concept | None) -> tuple[list[str], list[str]]:
    return _codes(status, words.REFERRAL_STATUSES), _codes(status, words.CLOSURE_REASONS)


def _date(status: Concept | None) -> str | None:
    dates = [one for one in (status or {}).get("extension", []) if one.get("url") == words.REFERRAL_STATUS_DATE]
    return dates[0].get("valueDateTime") if dates else None


def _dated(status: Concept, now: int) -> dict[str, Any]:
    instant = datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="seconds")
    others = [one for one in status.get("extension", []) if one.get("url") != words.REFERRAL_STATUS_DATE]
    date = {"url": words.REFERRAL_STATUS_DATE, "valueDateTime": instant}
    return {**status, "extension": [*others, date]}
