"""The member in a Return Transmission File: out of the Patient and the Coverage, else the assignment."""

from __future__ import annotations

from typing import Any

from fhir_server.ecm import ages
from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.facets import Resource, code_in, current, extension, telecom
from fhir_server.ecm.files.returns.gathering import Report, Subject
from fhir_server.ecm.member import Unreadable, phone
from fhir_server.ecm.rosters import verified


def person(subject: Subject, report: Report) -> dict[str, Any]:
    """Name, age group, where and how the member is reached, languages."""
    a = subject.assignment
    patient = next((entry.resource for entry in subject.of("Patient")), {})
    name, home = current(patient.get("name", [])), _home(patient)
    homeless = extension(patient, v.HOMELESS, "valueBoolean")
    return {
        "last_name": name.get("family") or a.last_name,
        "first_name": next(iter(name.get("given", [])), a.first_name),
        "age_group": _age_group(born(subject), report.period.last),
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


def born(subject: Subject) -> str:
    """The day of birth, as the Patient says, else the assignment."""
    patient = next((entry.resource for entry in subject.of("Patient")), {})
    return str(patient.get("birthDate") or subject.assignment.birth_date)


def _age_group(birth_date: str, day: str) -> str | None:
    if len(birth_date) < len("2000-01-01"):
        return None
    return "adult" if ages.is_adult(birth_date, day) else "child-youth"


def dual(subject: Subject) -> bool | None:
    """Whether the member has Medicare too; None if nobody says."""
    said = (extension(entry.resource, v.MEDICARE_DUAL, "valueBoolean") for entry in subject.of("Coverage"))
    return next((value for value in said if value is not None), subject.assignment.medicare_dual)
