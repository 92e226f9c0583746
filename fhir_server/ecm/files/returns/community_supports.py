"""The Community Supports return file: one row per referral from the plan, by whoever performs it.

With a roster it holds the referrals of that roster's members; without one all that the plan sent to the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fhir_server.access.relations import items, local
from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.facets import Resource, code_in, current, day_of, extension, extensions, identifier, telecom
from fhir_server.ecm.files.facts import ReferralFacts
from fhir_server.ecm.files.returns.gathering import PAGE, Entry, Report, entries, hidden_names, hidden_rows, subjects
from fhir_server.ecm.files.returns.referral import record_number, referral_facts
from fhir_server.engine import records
from fhir_server.store.hashing import rh

_CATEGORY = "community-support"
_FINAL = frozenset({"rejected", "completed", "failed", "cancelled"})

Known = dict[str, Resource]


def rows(report: Report) -> Iterator[tuple[ReferralFacts, ReferralFacts | None]]:
    """(a referral that was open in the period, the same without what is hidden from the plan, None if it is hidden)."""
    organizations: Known = {}
    for tasks, hidden in _of_members(report) if report.group else _of_caller(report):
        mine = [task for task in tasks if _is_asked(report, task)]
        known = _related(report, mine, organizations)
        secret = hidden_names(report, known)
        for task in mine:
            request = known.get(_reference(task, "focus", "ServiceRequest"), {})
            if not _is_community_support(request) or not _is_open(report, task):
                continue
            whole = told = _facts(report, task, request, {**known, **organizations})
            if secret:
                open_ = {name: one for name, one in known.items() if name not in secret}
                told = _facts(report, task, request, {**open_, **organizations})
            yield whole, None if task.row.rh in hidden else told


def _of_members(report: Report) -> Iterator[tuple[Sequence[Entry], frozenset[int]]]:
    for page in subjects(report, ["Task"]):
        hidden = frozenset[int]().union(*(subject.hidden for subject in page))
        yield [task for subject in page for task in sorted(subject.entries, key=_order)], hidden


def _of_caller(report: Report) -> Iterator[tuple[Sequence[Entry], frozenset[int]]]:
    """The Tasks that the provider owns, found by search, read as they were known, in the order of their ids."""
    context = report.context
    found = sorted(set(records.search_all(context, "Task", ("owner", report.provider))))
    for start in range(0, len(found), PAGE):
        hashes = [rh(f"Task/{fid}") for fid in found[start : start + PAGE]]
        tasks = sorted(entries(records.by_hashes(report.context, hashes, report.as_of)), key=_order)
        records.log(report.context, report.interaction, [("Task", t.row.fid, t.row.patient or 0) for t in tasks])
        yield tasks, hidden_rows(report, [task.row for task in tasks])


def _order(task: Entry) -> tuple[str, str]:
    return str(task.resource.get("authoredOn", "")), task.row.fid


def _reference(task: Entry, element: str, *types: str) -> str:
    return local(task.resource.get(element), *types) or ""


def _is_asked(report: Report, task: Entry) -> bool:
    """From the plan; performed by the caller, or, if the plan itself asks, by anybody else."""
    owner, caller = _reference(task, "owner", "Organization"), report.context.caller.org
    performed = owner not in {"", report.plan} if caller == report.plan else owner == caller
    return performed and _reference(task, "requester", "Organization") == report.plan


def _is_community_support(request: Resource) -> bool:
    return code_in(request.get("category", []), v.SERVICE_CATEGORIES) == _CATEGORY


def _is_open(report: Report, task: Entry) -> bool:
    """Sent by the end of the period, and not over before it began."""
    zone, period = report.context.engine.settings.zone, report.period
    sent = day_of(task.resource.get("authoredOn"), zone)
    status = task.resource.get("status")
    if status in {"draft", "entered-in-error"} or sent is None or sent > period.last:
        return False
    changed = referral_facts(task.resource, zone)["referral_status_date"]
    return status not in _FINAL or not changed or changed >= period.first


def _related(report: Report, tasks: Iterable[Entry], organizations: Known) -> Known:
    """What the Tasks of a page refer to: requests, patients, outputs; organizations are kept for later pages."""
    wanted, parties = set[str](), {report.plan}
    for task in tasks:
        nodes = [task.resource.get("focus"), task.resource.get("for")]
        nodes += [output.get("valueReference") for output in items(task.resource, "output")]
        wanted |= {name for node in nodes if (name := local(node, "ServiceRequest", "Patient", "Procedure"))}
        parties.add(_reference(task, "owner", "Organization"))
    fresh = parties - organizations.keys() - {""}
    known = records.by_reference(report.context, wanted | fresh, report.as_of)
    organizations.update({name: known.pop(name, {}) for name in fresh})
    return known


def _facts(report: Report, task: Entry, request: Resource, known: Known) -> ReferralFacts:
    zone = report.context.engine.settings.zone
    patient = known.get(_reference(task, "for", "Patient"), {})
    plan, provider = known.get(report.plan, {}), known.get(_reference(task, "owner", "Organization"), {})
    name = current(patient.get("name", []))
    start, end = _service_days(task, known, zone)
    facts: dict[str, Any] = {
        "cin": identifier(patient, v.CIN) or "",
        "last_name": name.get("family", ""),
        "first_name": next(iter(name.get("given", [])), ""),
        "birth_date": patient.get("birthDate"),
        "service": code_in(request.get("code"), v.COMMUNITY_SUPPORTS) or "",
        "referral_number": record_number(task),
        "authorization_number": _authorization(task.resource) or _authorization(request),
        "referral_date": day_of(task.resource.get("authoredOn"), zone),
        "service_start": start,
        "service_end": end,
        **referral_facts(task.resource, zone),
        "production_date": report.produced,
        "period": report.period.text,
        "plan_code": identifier(plan, v.PLAN_CODE),
        "plan_name": plan.get("name"),
        "provider_name": provider.get("name"),
        "provider_npi": identifier(provider, v.NPI),
        "provider_tin": identifier(provider, v.TIN),
        "provider_phone": telecom("phone", provider),
    }
    return ReferralFacts(**facts)


def _authorization(resource: Resource) -> str | None:
    parts = next(iter(extensions(resource, v.AUTHORIZATION)), {})
    number = extension(parts, "number", "valueString")
    return str(number) if number else None


def _service_days(task: Entry, known: Known, zone: Any) -> tuple[str | None, str | None]:
    """From Task.executionPeriod, else from the Procedures it put out."""
    span = task.resource.get("executionPeriod", {})
    outputs = [local(output.get("valueReference"), "Procedure") for output in items(task.resource, "output")]
    done = [known.get(name, {}) for name in outputs if name]
    spans = [one.get("performedPeriod", {"start": one.get("performedDateTime")}) for one in done]
    starts = [day for one in spans if (day := day_of(one.get("start"), zone))]
    ends = [day for one in spans if (day := day_of(one.get("end") or one.get("start"), zone))]
    start = day_of(span.get("start"), zone) or min(starts, default=None)
    return start, day_of(span.get("end"), zone) or max(ends, default=None)
