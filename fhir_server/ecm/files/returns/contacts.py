"""A provider's contacts with a member in a Return Transmission File, out of its Encounters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.facets import Resource, code_in, codes_in, day_of
from fhir_server.ecm.files.returns.gathering import Report, Subject

MET = frozenset({"finished", "in-progress"})  # Encounter.status of what has taken place
_SERVICES = frozenset({"ecm-service", "assessment"})
_VIRTUAL = "VR"


def contacts(report: Report, subject: Subject) -> dict[str, Any]:
    """Counts within the period; the most recent ones up to its end."""
    zone = report.context.engine.settings.zone
    met = list(encounters(report, subject, _SERVICES))
    conferences = [day for day, _ in encounters(report, subject, {"care-conference"})]
    assessed = list(encounters(report, subject, {"assessment"}))
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


def encounters(report: Report, subject: Subject, kinds: Iterable[str]) -> Iterator[tuple[str, Resource]]:
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
