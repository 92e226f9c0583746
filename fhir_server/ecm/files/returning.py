"""The Return Transmission File: one member's facts out of the assignment and the record, as docs/files.md maps them.

Pure: the record comes in, the facts go out; what nothing says stays blank.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fhir_server.access.relations import items, local
from fhir_server.ecm import ages
from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.files import verified
from fhir_server.ecm.files.facets import (
    Resource,
    code_in,
    codes_in,
    current,
    day_of,
    extension,
    extensions,
    local_day,
    person_name,
    telecom,
)
from fhir_server.ecm.files.facts import MemberFacts
from fhir_server.ecm.files.gathering import Entry, People, Report, Subject, subjects
from fhir_server.ecm.files.layouts import names
from fhir_server.ecm.member import Unreadable, phone
from fhir_server.engine import records

TYPES = ("Patient", "Coverage", "CareTeam", "CarePlan", "Encounter", "EpisodeOfCare", "Task", "ServiceRequest")
ECM = "enhanced-care-management"
MET = frozenset({"finished", "in-progress"})  # Encounter.status of what has taken place
_SERVICES = frozenset({"ecm-service", "assessment"})
_VIRTUAL = "VR"
_ENROLLED = frozenset({"enrolled", "on-hold", "discontinued"})


def rows(report: Report) -> Iterator[tuple[MemberFacts, MemberFacts]]:
    """(facts, facts without what is hidden from the plan) of each member of the period, in the order of their CINs."""
    people: People = {}
    for page in subjects(report, TYPES):
        _meet(report, page, people)
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
        "medicare_dual": _dual(subject),
        "production_date": report.produced,
        "period": report.period.text,
        **_person(subject, report),
        **_programme(report, subject),
        **_contacts(report, subject),
        **_lead(report, subject, people),
        **_referral(report, subject),
    }
    return MemberFacts(**known)


# ---- the member --------------------------------------------------------------------------------------------------


def _person(subject: Subject, report: Report) -> dict[str, Any]:
    a = subject.assignment
    patient = next((entry.resource for entry in subject.of("Patient")), {})
    name, home = current(patient.get("name", [])), _home(patient)
    homeless = extension(patient, v.HOMELESS, "valueBoolean")
    return {
        "last_name": name.get("family") or a.last_name,
        "first_name": next(iter(name.get("given", [])), a.first_name),
        "age_group": _age_group(_born(subject), report.period.last),
        "new_address": verified.is_new(home, a.production_date),
        "new_phone": verified.is_new(_first_phone(patient), a.production_date),
        "homeless": a.homeless if homeless is None else homeless,
        "address": ", ".join(home.get("line", [])) or None,
        "city": home.get("city"),
        "state": home.get("state"),
        "zip": home.get("postalCode"),
        "phone": telecom("phone", patient) or _readable(a.phone),
        **_languages(patient),
    }


def _home(patient: Resource) -> Resource:
    usable = [item for item in patient.get("address", []) if item.get("type") != "postal"]
    return current(usable)


def _first_phone(patient: Resource) -> Resource:
    return next((item for item in patient.get("telecom", []) if item.get("system") == "phone"), {})


def _readable(text: str | None) -> str | None:
    try:
        return phone(text) if text else None
    except Unreadable:
        return None


def _languages(patient: Resource) -> dict[str, Any]:
    given = patient.get("communication", [])
    codes = [code_in(item.get("language"), v.LANGUAGE) for item in given]
    first = next((code for item, code in zip(given, codes, strict=True) if item.get("preferred")), None)
    others = [code for code in codes if code and code != first]
    return {"language": first or next(iter(others), None), "written_language": others[0] if first and others else None}


def _born(subject: Subject) -> str:
    patient = next((entry.resource for entry in subject.of("Patient")), {})
    return str(patient.get("birthDate") or subject.assignment.birth_date)


def _age_group(born: str, day: str) -> str | None:
    if len(born) < len("2000-01-01"):
        return None
    return "adult" if ages.is_adult(born, day) else "child-youth"


def _dual(subject: Subject) -> bool | None:
    said = (extension(entry.resource, v.MEDICARE_DUAL, "valueBoolean") for entry in subject.of("Coverage"))
    return next((value for value in said if value is not None), subject.assignment.medicare_dual)


# ---- the programme -----------------------------------------------------------------------------------------------


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
        "populations": ages.fitting(populations, _born(subject), report.period.last),
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
    return "outreach" if any(_encounters(report, subject, {"ecm-outreach"})) else "assigned"


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


# ---- contacts ----------------------------------------------------------------------------------------------------


def _contacts(report: Report, subject: Subject) -> dict[str, Any]:
    """Counts within the period; the most recent ones up to its end."""
    zone = report.context.engine.settings.zone
    met = list(_encounters(report, subject, _SERVICES))
    conferences = [day for day, _ in _encounters(report, subject, {"care-conference"})]
    assessed = list(_encounters(report, subject, {"assessment"}))
    ends = [one["period"].get("end") or one["period"]["start"] for _, one in assessed if one["status"] == "finished"]
    within = [method(resource) for day, resource in met if report.period.holds(day)]
    return {
        "last_encounter": max((day for day, _ in met), default=None),
        "in_person": within.count("in-person"),
        "telephonic": within.count("telephonic-video"),
        "care_conference_date": max(conferences, default=None),
        "assessment_started": max((day for day, _ in assessed), default=None),
        "assessment_completed": max((day for end in ends if (day := day_of(end, zone))), default=None),
    }


def _encounters(report: Report, subject: Subject, kinds: Iterable[str]) -> Iterator[tuple[str, Resource]]:
    """(day, Encounter) of what the provider recorded of these kinds, up to the end of the period."""
    wanted = set(kinds)
    for entry in subject.of("Encounter"):
        resource = entry.resource
        day = day_of(resource.get("period", {}).get("start"), report.context.engine.settings.zone)
        if (
            day
            and day <= report.period.last
            and resource.get("status") in MET
            and wanted.intersection(codes_in(resource.get("type", []), v.ENCOUNTER_KINDS))
            and entry.is_of(report.provider, "serviceProvider")
        ):
            yield day, resource


def method(encounter: Resource) -> str:
    """How the contact was made: as coded, else by the class of the Encounter (virtual or in person)."""
    coded = code_in(encounter.get("type", []), v.OUTREACH_METHODS)
    return coded or ("telephonic-video" if encounter.get("class", {}).get("code") == _VIRTUAL else "in-person")


# ---- the lead care manager ---------------------------------------------------------------------------------------


def _meet(report: Report, page: Sequence[Subject], people: People) -> None:
    """Look up the lead care managers of a page who are not known yet, and the people behind their roles."""
    leads = {reference for subject in page if (reference := _lead_reference(report, subject))}
    _look_up(report, leads, people)
    behind = {local(people.get(reference, {}).get("practitioner"), "Practitioner") for reference in leads}
    _look_up(report, {reference for reference in behind if reference}, people)


def _look_up(report: Report, references: set[str], people: People) -> None:
    unknown = sorted(references - people.keys())
    if unknown:
        found = records.by_reference(report.context, unknown, report.as_of)
        people.update({reference: found.get(reference, {}) for reference in unknown})


def _lead_reference(report: Report, subject: Subject) -> str | None:
    for entry in subject.of("CareTeam"):
        if entry.resource.get("status") == "active" and entry.is_of(report.provider, "managingOrganization"):
            for part in items(entry.resource, "participant"):
                if code_in(part.get("role", []), v.CARE_TEAM_ROLES) == v.LEAD_CARE_MANAGER:
                    return local(part.get("member"), "PractitionerRole", "Practitioner")
    return None


def _lead(report: Report, subject: Subject, people: People) -> dict[str, Any]:
    reference = _lead_reference(report, subject)
    if not reference:
        return {}
    role = people.get(reference, {})
    person = people.get(local(role.get("practitioner"), "Practitioner") or reference, {})
    return {
        "lead_name": person_name(person),
        "lead_phone": telecom("phone", role, person),
        "lead_email": telecom("email", role, person),
        "provider_type": code_in(role.get("code", []), v.STAFF_KINDS),
    }


# ---- the loop of the ECM referral --------------------------------------------------------------------------------


def _referral(report: Report, subject: Subject) -> dict[str, Any]:
    zone = report.context.engine.settings.zone
    task = ecm_task(subject.entries, report.provider)
    return referral_facts(task.resource, zone) if task else {}


def ecm_task(entries: Sequence[Entry], provider: str) -> Entry | None:
    """The newest referral to ECM that the provider performs; one that nobody else's choice could change."""
    asked = {
        entry.reference
        for entry in entries
        if entry.type == "ServiceRequest" and ECM in codes_in(entry.resource.get("category", []), v.SERVICE_CATEGORIES)
    }
    tasks = [
        entry
        for entry in entries
        if entry.type == "Task"
        and local(entry.resource.get("focus"), "ServiceRequest") in asked
        and local(entry.resource.get("owner"), "Organization") == provider
        and entry.resource.get("status") != "entered-in-error"
    ]
    return max(tasks, key=lambda entry: (entry.resource.get("authoredOn", ""), entry.row.fid), default=None)


def referral_facts(task: Resource, zone: Any) -> dict[str, Any]:
    """The three closed-loop columns: status, the day of its last update, the reason of a closure."""
    status = task.get("businessStatus", {})
    return {
        "referral_status": code_in(status, v.REFERRAL_STATUSES),
        "referral_status_date": day_of(extension(status, v.REFERRAL_STATUS_DATE, "valueDateTime"), zone),
        "closure_reason": code_in(status, v.CLOSURE_REASONS),
    }


def record_number(task: Entry) -> str:
    """How a referral is called: its first business identifier, else its id."""
    first = next((item["value"] for item in task.resource.get("identifier", []) if item.get("value")), None)
    return first or task.row.fid
