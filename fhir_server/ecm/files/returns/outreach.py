"""The Initial Outreach Tracker: one row per attempt to reach a member, out of the provider's Encounters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.facets import Resource, code_in, codes_in, day_of, extension
from fhir_server.ecm.files.facts import OutreachAttempt
from fhir_server.ecm.files.returns.contacts import MET, method
from fhir_server.ecm.files.returns.gathering import Entry, Report, Subject, subjects
from fhir_server.fhir.values import parse_date

TYPES = ("Encounter",)
_KIND = "ecm-outreach"
_MINUTE = 60_000


def rows(report: Report) -> Iterator[tuple[OutreachAttempt, OutreachAttempt | None]]:
    """Each attempt of the period, twice, or with None where it is hidden from the plan; by member, then by time."""
    for page in subjects(report, TYPES):
        for subject in page:
            for day, entry in _attempts(report, subject):
                attempt = _attempt(report, subject, day, entry.resource)
                yield attempt, None if entry.row.rh in subject.hidden else attempt


def _attempts(report: Report, subject: Subject) -> list[tuple[str, Entry]]:
    zone = report.context.engine.settings.zone
    found = []
    for entry in subject.entries:
        day = day_of(entry.resource.get("period", {}).get("start"), zone)
        if day and report.period.holds(day) and _is_attempt(entry, report.provider):
            found.append((day, entry))
    return sorted(found, key=lambda pair: (pair[0], pair[1].resource["period"]["start"], pair[1].row.fid))


def _is_attempt(entry: Entry, provider: str) -> bool:
    by_kind = _KIND in codes_in(entry.resource.get("type", []), v.ENCOUNTER_KINDS)
    return by_kind and entry.resource.get("status") in MET and entry.is_of(provider, "serviceProvider")


def _attempt(report: Report, subject: Subject, day: str, encounter: Resource) -> OutreachAttempt:
    a = subject.assignment
    known: dict[str, Any] = {
        "plan_code": a.plan_code,
        "plan_name": a.plan_name,
        "provider_npi": a.provider_npi,
        **{name: value for name, value in report.parties.items() if value},
        "cin": a.cin,
        "member_name": f"{a.first_name} {a.last_name}",
        "date": day,
        "method": method(encounter),
        "successful": extension(encounter, v.OUTREACH_SUCCESSFUL, "valueBoolean"),
        "minutes": _minutes(report, encounter),
        "staff_kind": code_in(encounter.get("type", []), v.STAFF_KINDS),
        "contact_reason": next((one["text"] for one in encounter.get("reasonCode", []) if one.get("text")), None),
    }
    return OutreachAttempt(**known)


def _minutes(report: Report, encounter: Resource) -> int | None:
    """Encounter.length in minutes or hours, else the span between its start and end."""
    length, zone = encounter.get("length", {}), report.context.engine.settings.zone
    factor = {"min": 1, "h": 60}.get(length.get("code") or length.get("unit", ""))
    if factor and "value" in length:
        return round(float(length["value"]) * factor)
    start, end = (str(encounter["period"].get(name, "")) for name in ("start", "end"))
    if "T" not in start or "T" not in end:
        return None
    return (parse_date(end, zone)[0] - parse_date(start, zone)[0]) // _MINUTE
