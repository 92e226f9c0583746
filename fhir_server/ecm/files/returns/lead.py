"""The lead care manager in a Return Transmission File: CareTeam, PractitionerRole, Practitioner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_server.access.relations import items, local
from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.facets import code_in, person_name, telecom
from fhir_server.ecm.files.returns.gathering import People, Report, Subject
from fhir_server.engine import records


def meet(report: Report, page: Sequence[Subject], people: People) -> None:
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


def lead(report: Report, subject: Subject, people: People) -> dict[str, Any]:
    """Name, telephone, e-mail and kind of the lead care manager; nothing if none is named."""
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
