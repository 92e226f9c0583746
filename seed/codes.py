"""The systems and small FHIR shapes that the seed uses; the same URLs as terminology/ecm and profiles/ecm."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

Json = dict[str, Any]
CALIFORNIA = ZoneInfo("America/Los_Angeles")

BASE = "https://ecm-exchange.org/fhir"
PROFILE = f"{BASE}/StructureDefinition"
CIN = f"{BASE}/sid/medi-cal-cin"
PLAN_CODE = f"{BASE}/sid/medi-cal-plan-code"
AUTHORIZATION = f"{BASE}/sid/authorization-number"
SEED = f"{BASE}/sid/seed"
NPI = "http://hl7.org/fhir/sid/us-npi"
TIN = "urn:oid:2.16.840.1.113883.4.4"
NUCC = "http://nucc.org/provider-taxonomy"
GRAVITY = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
HL7 = "http://terminology.hl7.org/CodeSystem"
CORE = "http://hl7.org/fhir/us/core/CodeSystem"


def ecm(name: str) -> str:
    """The URL of one of the programme's code systems."""
    return f"{BASE}/CodeSystem/{name}"


def coding(system: str, code: str, display: str | None = None) -> Json:
    """A Coding."""
    return {"system": system, "code": code} | ({"display": display} if display else {})


def concept(system: str, code: str, text: str | None = None) -> Json:
    """A CodeableConcept with one coding."""
    return {"coding": [coding(system, code)]} | ({"text": text} if text else {})


def extension(name: str, kind: str, value: object) -> Json:
    """A simple extension of the programme; `kind` is the type of its value, such as Boolean."""
    return {"url": f"{PROFILE}/{name}", f"value{kind}": value}


def profile(name: str) -> Json:
    """The meta element that claims a programme profile."""
    return {"profile": [f"{PROFILE}/{name}"]}


def seed_identifier(value: str) -> list[Json]:
    """The identifier by which a resource of the seed is found again."""
    return [{"system": SEED, "value": value}]


def patient(cin: str) -> Json:
    """A conditional reference to the member with this CIN, as the writing organization sees them."""
    return {"reference": f"Patient?identifier={CIN}|{cin}"}


def seeded(resource_type: str, value: str) -> Json:
    """A conditional reference to a resource of the seed that was loaded before."""
    return {"reference": f"{resource_type}?identifier={SEED}|{value}"}


def organization(key: str) -> Json:
    """A reference to an organization of the directory."""
    return {"reference": f"Organization/{key}"}


def role(key: str, place: int = 0) -> Json:
    """A reference to the PractitionerRole of an organization's staff member."""
    return {"reference": f"PractitionerRole/{key}-role-{place + 1}"}


def instant(day: date, hour: int = 9, minute: int = 0) -> str:
    """A dateTime in California with the offset of that day."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=CALIFORNIA).isoformat()
