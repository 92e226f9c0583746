"""The story of a request: every attempt at it that the caller may see, with what happened and when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import orjson

from fhir_server.access.relations import items, local
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.referrals import attempts, stamps
from fhir_server.engine import records, repository
from fhir_server.engine.context import Context
from fhir_server.fhir.values import instant, parse_date
from fhir_server.store.history import Place, Span

Resource = Mapping[str, Any]

_VERSIONS: Final = 200


@dataclass(frozen=True)
class Event:
    """What a Task said from an instant on (UTC milliseconds), until the next event."""

    at: int
    status: str
    loop: tuple[str, ...]
    reason: str
    reported: str

    @property
    def said(self) -> tuple[Any, ...]:
        """All of it but the instant."""
        return self.status, self.loop, self.reason, self.reported


@dataclass(frozen=True)
class Attempt:
    """One Task: as it is now, and its events, oldest first."""

    task: Resource
    events: Sequence[Event]
    late: bool

    @property
    def asked(self) -> tuple[str, ...]:
        """References of whom it is asked: its owner, or the candidates while nobody has taken it."""
        owner = local(self.task.get("owner"))
        listed = [local(one) for one in items(self.task.get("restriction") or {}, "recipient")]
        return (owner,) if owner else tuple(name for name in listed if name)


@dataclass(frozen=True)
class Story:
    """A ServiceRequest, the attempts at it by the time they were sent, and what the organizations are called."""

    request: Resource
    attempts: Sequence[Attempt]
    names: Mapping[str, str]

    def name(self, reference: str) -> str:
        """What the directory calls an organization, else its reference."""
        return self.names.get(reference, reference)


def story(context: Context, fid: str) -> Story:
    """The story as the caller may know it; NotFound if it cannot see the request."""
    context.require("s", "Task")
    context.require("r", "Task")
    request = orjson.loads(repository.read(context, "ServiceRequest", fid).body)
    found = [_attempt(context, name) for name in dict.fromkeys(_tasks(context, f"ServiceRequest/{fid}"))]
    ordered = sorted(found, key=lambda one: (one.events[0].at, str(one.task["id"])))
    return Story(request, ordered, _names(context, ordered))


def _tasks(context: Context, request: str) -> Iterator[str]:
    for criteria in (("focus", request), ("focus:ServiceRequest.based-on", request)):
        yield from records.search_all(context, "Task", criteria)


def _attempt(context: Context, fid: str) -> Attempt:
    rows = repository.history(context, "Task", fid, Span(), Place(), _VERSIONS)
    versions = [(row.ts, orjson.loads(row.body)) for row in reversed(rows) if not row.deleted]
    told = [_event(at, task) for at, task in versions]
    events = [next(group) for _, group in groupby(told, key=lambda event: event.said)]
    return Attempt(versions[-1][1], events, _late(context, versions[-1][1], events))


def _event(at: int, task: Resource) -> Event:
    loop = tuple(str(one.get("code")) for one in task.get("businessStatus", {}).get("coding", []))
    reason = str(task.get("statusReason", {}).get("text", ""))
    return Event(at, str(task.get("status")), loop, reason, _reported(task))


def _reported(task: Resource) -> str:
    """Who said it, how and when, of an answer that somebody else recorded; "" if it is the organization's own."""
    stamp = stamps.stamp(task, words.REPORTED_ANSWER)
    parts = {one["url"]: one for one in (stamp or {}).get("extension", [])}
    if not parts:
        return ""
    channel = parts["channel"]["valueCoding"]
    how = channel.get("display") or channel.get("code")
    return f"{parts['by']['valueString']}, {how}, {parts['at']['valueDateTime']}"


def _late(context: Context, task: Resource, events: Sequence[Event]) -> bool:
    """Whether the answer came, or is still awaited, after its date."""
    stamp = stamps.stamp(task, words.ANSWER_BY)
    if not stamp:
        return False
    due = parse_date(stamp["valueDateTime"], context.engine.settings.zone)[0]
    answered = next((event.at for event in events if event.status not in {"draft", "requested"}), context.now)
    return answered > due


def _names(context: Context, found: Sequence[Attempt]) -> dict[str, str]:
    wanted = {name for one in found for name in (*one.asked, local(one.task.get("requester")) or "")}
    known = records.by_reference(context, wanted - {""})
    return {reference: str(one["name"]) for reference, one in known.items() if one.get("name")}


# ---- as Parameters --------------------------------------------------------------------------------------------------


def as_parameters(told: Story) -> dict[str, Any]:
    """The story as a Parameters resource: `request`, then an `attempt` for each Task with its `event`s."""
    request = {"name": "request", "valueReference": {"reference": f"ServiceRequest/{told.request['id']}"}}
    return {"resourceType": "Parameters", "parameter": [request, *(_as_part(told, one) for one in told.attempts)]}


def _as_part(told: Story, one: Attempt) -> dict[str, Any]:
    parts = [
        _reference("task", f"Task/{one.task['id']}"),
        _named(told, "requester", local(one.task["requester"]) or ""),
    ]
    parts += [_named(told, "asked", name) for name in one.asked]
    parts.append({"name": "status", "valueCode": one.task["status"]})
    if stamp := stamps.stamp(one.task, words.ANSWER_BY):
        parts.append({"name": "answer-by", "valueDateTime": stamp["valueDateTime"]})
    parts.append({"name": "late", "valueBoolean": one.late})
    if replaced := attempts.reassignment(one.task):
        parts += [{"name": "replaces", "valueReference": replaced["replaces"]}]
        parts += [{"name": "replaces-because", "valueCoding": replaced["reason"]}]
    return {"name": "attempt", "part": [*parts, *map(_as_event, one.events)]}


def _as_event(event: Event) -> dict[str, Any]:
    texts = {"reason": event.reason, "reported": event.reported}
    parts: list[dict[str, Any]] = [
        {"name": "at", "valueInstant": instant(event.at)},
        {"name": "status", "valueCode": event.status},
        *({"name": "loop", "valueCode": code} for code in event.loop),
        *({"name": name, "valueString": text} for name, text in texts.items() if text),
    ]
    return {"name": "event", "part": parts}


def _named(told: Story, name: str, reference: str) -> dict[str, Any]:
    display = told.names.get(reference)
    part = _reference(name, reference)
    return {**part, "valueReference": {**part["valueReference"], "display": display}} if display else part


def _reference(name: str, reference: str) -> dict[str, Any]:
    return {"name": name, "valueReference": {"reference": reference}}
