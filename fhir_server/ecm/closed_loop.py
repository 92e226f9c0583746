"""The data set that a plan keeps per referral (closed-loop referral requirements), as it was known at an instant.

One row for each referral to ECM or to a Community Support that was open in the period: the Task that first asked, with
what its parts, its authorization and its notices say. A request that was submitted blindly is a row as well: by its
first step, until there is a Task that asks a provider. Rights are those of now, facts those known then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import orjson

from fhir_server.access.relations import items, local
from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.facets import Resource, code_in, current, day_of, extension, identifier, local_day, telecom
from fhir_server.ecm.files.exporting import Period
from fhir_server.ecm.files.returns.gathering import Entry, entries
from fhir_server.ecm.referrals import stamps, supports
from fhir_server.ecm.requests import steps
from fhir_server.engine import records
from fhir_server.engine.context import Context
from fhir_server.fhir.folders import data_folder
from fhir_server.store.hashing import rh

NAME: Final = "clr-data-set"
_PAGE: Final = 100
_SERVICES: Final = ",".join(
    f"{v.SERVICE_CATEGORIES}|{one}" for one in ("community-support", "enhanced-care-management")
)
_FIRST_STEPS: Final = ("identify", "authorize")
_FIRST: Final = ",".join(f"{v.STEPS}|{step}" for step in _FIRST_STEPS)
_ENDED: Final = frozenset({"rejected", "completed", "failed", "cancelled"})
_UNSENT: Final = frozenset({"draft", "entered-in-error"})
_PARTIES: Final = ("requester", "owner")

Known = Mapping[str, Resource]


@cache
def columns() -> Sequence[Mapping[str, str]]:
    """The columns in order: group, header, fact, source, confidence."""
    found: Sequence[Mapping[str, str]] = orjson.loads(
        (data_folder("profiles") / "ecm" / "clr-data-set.json").read_bytes()
    )["columns"]
    return found


@dataclass(frozen=True)
class Referral:
    """One referral as it was known: its Task, its parts, the first step of its request, its notices, what all refer to.

    `plan` is who keeps the data set.
    """

    plan: str
    task: Entry
    parts: Sequence[Entry]
    steps: Sequence[Entry]
    notices: Sequence[Entry]
    known: Known

    @property
    def performed(self) -> Entry | None:
        """The Task of the provider: the newest part, else the Task itself unless the plan is asked to decide."""
        asks_plan = local(self.task.resource.get("owner")) == self.plan
        return max(self.parts, key=_sent) if self.parts else None if asks_plan else self.task

    @property
    def request(self) -> Resource:
        """The ServiceRequest."""
        return self.known.get(_request_of(self.task), {})

    @property
    def said(self) -> Mapping[str, str]:
        """What a blind submission said, by name."""
        inputs = [one for step in self.steps for one in items(step.resource, "input")]
        return {str(one["type"].get("text")): one["valueString"] for one in inputs if "valueString" in one}

    def resource(self, node: Any) -> Resource:
        """What a Reference names, {} if it is not known to the caller."""
        return self.known.get(local(node) or "", {})


def referrals(context: Context, period: Period, as_of: int) -> Iterator[Referral]:
    """The referrals that the caller may see and that were open in the period, oldest first."""
    found = sorted(set(_asked(context)))
    for start in range(0, len(found), _PAGE):
        hashes = [rh(f"Task/{fid}") for fid in found[start : start + _PAGE]]
        roots = [task for task in entries(records.by_hashes(context, hashes, as_of)) if _counts(context, task, period)]
        yield from _complete(context, sorted(roots, key=_sent), as_of)


def _asked(context: Context) -> Iterator[str]:
    for criteria in (("focus:ServiceRequest.category", _SERVICES), ("code", _FIRST)):
        yield from records.search_all(context, "Task", criteria)


def _request_of(task: Entry) -> str:
    """The ServiceRequest that a Task is about: its focus, or, of a step, what it is based on."""
    based = [local(one, "ServiceRequest") for one in items(task.resource, "basedOn")]
    return local(task.resource.get("focus"), "ServiceRequest") or next(filter(None, based), "")


def _is_first_step(task: Entry) -> bool:
    return steps.step_of(task.resource) in _FIRST_STEPS


def _sent(task: Entry) -> tuple[str, str]:
    return str(task.resource.get("authoredOn", "")), task.row.fid


def _counts(context: Context, task: Entry, period: Period) -> bool:
    """No part of another; sent by the end of the period, and not over before it began."""
    zone, resource = context.engine.settings.zone, task.resource
    sent, over = day_of(resource.get("authoredOn"), zone), resource.get("status") in _ENDED
    if resource.get("partOf") or resource.get("status") in _UNSENT or sent is None or sent > period.last:
        return False
    changed = local_day(task.row.ts, zone) if _is_first_step(task) else _status_day(resource, zone)
    return not over or changed is None or changed >= period.first


def _complete(context: Context, roots: Sequence[Entry], as_of: int) -> Iterator[Referral]:
    """The roots of a page with all that belongs to them; what goes out is audited first."""
    patients = sorted({task.row.patient for task in roots if task.row.patient})
    records.log(context, NAME, [("Task", task.row.fid, task.row.patient or 0) for task in roots])
    around = entries(records.of_patients(context, ["Task", "Communication"], patients, as_of))
    tasks = [one for one in around if one.type == "Task" and one.resource.get("status") not in _UNSENT]
    notices = [one for one in around if one.type == "Communication" and identifier(one.resource, v.NOTICE)]
    wanted = {name for task in (*roots, *tasks) for name in _named(task)}
    referred = {_request_of(one) for one in tasks if not steps.step_of(one.resource)}
    known = records.by_reference(context, wanted, as_of)
    known |= records.by_reference(context, _written_by(known), as_of)
    for root in roots:
        if _is_first_step(root) and _request_of(root) in referred:
            continue
        first = [one for one in tasks if _is_first_step(one) and _request_of(one) == _request_of(root)]
        first = first or ([root] if _is_first_step(root) else [])  # without a member it is in no member's record
        parts = [
            one
            for one in tasks
            if not steps.step_of(one.resource) and root.reference in {local(p) for p in items(one.resource, "partOf")}
        ]
        about = {root.reference, *(part.reference for part in parts)}
        told = [one for one in notices if about & {local(b) for b in items(one.resource, "basedOn")}]
        parts, told = sorted(parts, key=_sent), sorted(told, key=lambda one: one.row.fid)
        yield Referral(context.caller.org, root, parts, sorted(first, key=_sent), told, known)


def _named(task: Entry) -> Iterator[str]:
    if request := _request_of(task):
        yield request
    for element in ("for", *_PARTIES):
        if name := local(task.resource.get(element)):
            yield name


def _written_by(known: Known) -> set[str]:
    """Who asks in the requests and for whom a role stands."""
    nodes = [one.get(name) for one in known.values() for name in ("requester", "organization", "practitioner")]
    return {name for node in nodes if (name := local(node, "Organization", "PractitionerRole", "Practitioner"))}


# ---- the facts of a row ----------------------------------------------------------------------------------------------


def row(context: Context, one: Referral) -> list[str]:
    """The cells of a referral in the order of the columns."""
    facts = _asking(one) | _member(one) | _decision(context, one) | _fulfilled(context, one) | _told(context, one)
    return [str(facts.get(column["fact"]) or "") for column in columns()]


def _asking(one: Referral) -> dict[str, Any]:
    task, said = one.task.resource, one.said
    by_plan = local(task.get("requester")) == one.plan
    asked = one.request.get("requester") if by_plan else task.get("requester")  # before the plan asked a provider
    role = one.resource(asked)
    organization = one.resource(role["organization"]) if "organization" in role else role
    person = current(one.resource(role.get("practitioner")).get("name", []))
    codings = [coding for kind in items(organization, "type") for coding in kind.get("coding", [])]
    kinds = [coding.get("display") or coding.get("code") for coding in codings]
    return {
        "referral": one.task.row.fid,
        "source_type": said.get("asked by: relation")
        or ("Plan data" if local(asked) == one.plan else next(iter(kinds), None)),
        "referring_name": organization.get("name"),
        "referring_npi": identifier(organization, v.NPI),
        "referring_person": said.get("asked by: name")
        or " ".join([*person.get("given", []), person.get("family", "")]).strip(),
        "referring_phone": said.get("asked by: phone") or telecom("phone", organization),
        "referring_email": said.get("asked by: email") or telecom("email", organization),
        "service": next((c.get("code") for c in one.request.get("code", {}).get("coding", [])), None),
        "priority": task.get("priority"),
    }


def _member(one: Referral) -> dict[str, Any]:
    patient = one.resource(one.task.resource.get("for"))
    name = current(patient.get("name", []))
    spoken = sorted(items(patient, "communication"), key=lambda entry: not entry.get("preferred"))
    return {
        "cin": identifier(patient, v.CIN),
        "last_name": name.get("family"),
        "first_name": next(iter(name.get("given", [])), None),
        "phone": telecom("phone", patient),
        "language": code_in(spoken[0].get("language"), v.LANGUAGE) if spoken else None,
    }


def _decision(context: Context, one: Referral) -> dict[str, Any]:
    task, zone = one.task.resource, context.engine.settings.zone
    authorization, decided = stamps.stamp(task, v.AUTHORIZATION) or {}, supports.decision_of(task)
    found = {
        "received": day_of((one.request if one.steps else task).get("authoredOn"), zone),
        "decision": decided,
        "decision_date": extension(authorization, "date", "valueDate"),
        "decision_reason": task.get("statusReason", {}).get("text") if decided == supports.DENIED else None,
    }
    for step in [] if decided else one.steps:
        if outcome := steps.outcome_of(step.resource):
            reason = step.resource.get("statusReason", {}).get("text")
            day = local_day(step.row.ts, zone)
            found |= {"decision": outcome, "decision_date": day, "decision_reason": reason}
    return found


def _fulfilled(context: Context, one: Referral) -> dict[str, Any]:
    zone, task = context.engine.settings.zone, (one.performed or one.task).resource
    provider = one.resource(task.get("owner")) if one.performed else {}
    reported = stamps.stamp(task, v.REPORTED_ANSWER) or {}
    due = stamps.stamp(task, v.ANSWER_BY) or {}
    closed = code_in(task.get("businessStatus"), v.REFERRAL_STATUSES) == v.LOOP_CLOSED
    return {
        "provider_name": provider.get("name"),
        "provider_npi": identifier(provider, v.NPI),
        "assigned": day_of(task.get("authoredOn"), zone) if provider else None,
        "answer_by": due.get("valueDateTime"),
        "status": code_in(task.get("businessStatus"), v.REFERRAL_STATUSES),
        "status_date": _status_day(task, zone),
        "closure_reason": code_in(task.get("businessStatus"), v.CLOSURE_REASONS),
        "closed": _status_day(task, zone) if closed else None,
        "attempts": len(one.parts) or 1,
        "reported_by": extension(reported, "by", "valueString"),
    }


def _told(context: Context, one: Referral) -> dict[str, Any]:
    """The day of each notice that was sent."""
    found: dict[str, Any] = {}
    for notice in one.notices:
        event = code_in(notice.resource.get("category", []), v.NOTICES) or ""
        to = "member" if (local(items(notice.resource, "recipient")[0]) or "").startswith("Patient/") else "requester"
        about = "decision" if event in {"authorized", "denied"} else event
        found[f"{about}_{to}"] = day_of(notice.resource.get("sent"), context.engine.settings.zone)
    return found


def _status_day(task: Resource, zone: Any) -> str | None:
    return day_of(extension(task.get("businessStatus", {}), v.REFERRAL_STATUS_DATE, "valueDateTime"), zone)


# ---- the resources behind it -----------------------------------------------------------------------------------------


def resources(found: Sequence[Referral]) -> list[Resource]:
    """Every resource behind these referrals, once each: Tasks and notices, then what they refer to, by reference."""
    told = {
        entry.reference: entry.resource for one in found for entry in (one.task, *one.parts, *one.steps, *one.notices)
    }
    wanted = {name for one in found for entry in (one.task, *one.parts) for name in _named(entry)}
    behind = {name: one.known[name] for one in found for name in sorted(wanted & one.known.keys())}
    return [*told.values(), *(behind[name] for name in sorted(behind))]
