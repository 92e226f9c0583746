"""The Return Transmission File: one member's facts out of the assignment and the record, as docs/files.md maps them.

The record comes in, the facts go out; what nothing says stays blank.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.ecm import ages
from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.code_lists import names
from fhir_server.ecm.facets import Resource, code_in, codes_in, day_of, extension, extensions, local_day
from fhir_server.ecm.files.facts import MemberFacts
from fhir_server.ecm.files.returns.contacts import contacts, encounters
from fhir_server.ecm.files.returns.gathering import Entry, People, Report, Subject, subjects
from fhir_server.ecm.files.returns.lead import lead, meet
from fhir_server.ecm.files.returns.person import born, dual, person
from fhir_server.ecm.files.returns.referral import referral

TYPES = ("Patient", "Coverage", "CareTeam", "CarePlan", "Encounter", "EpisodeOfCare", "Task", "ServiceRequest")
_ENROLLED = frozenset({"enrolled", "on-hold", "discontinued"})


def rows(report: Report) -> Iterator[tuple[MemberFacts, MemberFacts]]:
    """(facts, facts without what is hidden from the plan) of each member of the period, in the order of their CINs."""
    people: People = {}
    for page in subjects(report, TYPES):
        meet(report, page, people)
        for subject in page:
            whole = member_facts(report, subject, people)
            told = member_facts(report, subject.told, people) if subject.hidden else whole
            yield whole, told


def member_facts(report: Report, subject: Subject, people: People) -> MemberFacts:
    """One row: the plan's assignment, then the member's own resource, then what the provider recorded."""
    a = subject.assignment
    parties = {"plan_code": a.plan_code, "plan_name": a.plan_name, "provider_npi": a.provider_npi}
    known: dict[str, Any] = {
        **parties,
        **{name: value for name, value in report.parties.items() if value},
        "provider_phone": report.provider_phone,
        "cin": a.cin,
        "medical_record": a.medical_record,
        "acuity": a.acuity,
        "authorization_number": a.authorization_number,
        "medicare_dual": dual(subject),
        "production_date": report.produced,
        "period": report.period.text,
        **person(subject, report),
        **_programme(report, subject),
        **contacts(report, subject),
        **lead(report, subject, people),
        **referral(report, subject),
    }
    return MemberFacts(**known)


# ---- the programme ----------------------------------------------------------------------------------------------


def _programme(report: Report, subject: Subject) -> dict[str, Any]:
    """Status, span, Populations of Focus, care plan and discontinuation."""
    zone = report.context.engine.settings.zone
    plans = [entry for entry in subject.of("CarePlan") if _is_ecm_plan(entry, report.provider)]
    plan = plans[0].resource if plans else {}
    episode = _episode(report, subject)
    status = _status(report, subject, plan, episode)
    populations = _populations(episode, plan) or subject.assignment.populations
    span = episode.get("period") or (plan.get("period", {}) if status in _ENROLLED else {})
    found = {
        "populations": ages.fitting(populations, born(subject), report.period.last),
        "status": status,
        "benefit_start": day_of(span.get("start"), zone),
        "benefit_end": day_of(span.get("end"), zone),
        "care_plan_date": local_day(plans[0].row.ts, zone) if plans else None,
        **_discontinuation(episode),
    }
    return {**found, "in_population": bool(found["populations"])}


def _is_ecm_plan(entry: Entry, provider: str) -> bool:
    is_ecm = code_in(entry.resource.get("category", []), v.CARE_PLAN_CATEGORIES) is not None
    return is_ecm and entry.resource.get("status") != "entered-in-error" and entry.is_of(provider, "author")


def _episode(report: Report, subject: Subject) -> Resource:
    """The provider's own episode, else the one that the plan recorded of it."""
    mine = [entry for entry in subject.of("EpisodeOfCare") if entry.is_of(report.provider, "managingOrganization")]
    usable = [
        entry
        for entry in mine
        if entry.resource.get("status") != "entered-in-error" and code_in(entry.resource.get("type", []), v.SERVICES)
    ]
    usable.sort(key=lambda entry: not entry.is_of(report.provider))
    return usable[0].resource if usable else {}


def _status(report: Report, subject: Subject, plan: Resource, episode: Resource) -> str:
    """What episode or care plan say; else enrolled by an active care plan, outreach by an attempt, or assigned."""
    for resource in (episode, plan):
        if code := code_in(extension(resource, v.STATUS, "valueCoding"), v.STATUSES):
            return code
    if plan.get("status") == "active":
        return "enrolled"
    return "outreach" if any(encounters(report, subject, {"ecm-outreach"})) else "assigned"


def _populations(*resources: Resource) -> tuple[str, ...]:
    for resource in resources:
        given = [item.get("valueCodeableConcept") for item in extensions(resource, v.POPULATION_OF_FOCUS)]
        if found := sorted(set(codes_in(given, v.POPULATIONS))):
            return tuple(found)
    return ()


def _discontinuation(episode: Resource) -> dict[str, Any]:
    parts = next(iter(extensions(episode, v.DISCONTINUATION)), {})
    code = code_in(extension(parts, "reason", "valueCoding"), v.DISCONTINUATION_REASONS)
    return {
        "discontinuation_date": extension(parts, "date", "valueDate"),
        "discontinuation_code": code,
        "discontinuation_reason": names("discontinuation-reason").get(code) if code else None,
    }
