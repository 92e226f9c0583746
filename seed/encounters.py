"""Encounters: prior claims as the plan knows them, and outreach and services as the provider records them."""

from datetime import date, timedelta
from random import Random

from seed import world
from seed.clinical import key, lists, planned, random_of
from seed.codes import (
    HL7,
    ICD10,
    Json,
    coding,
    concept,
    ecm,
    extension,
    instant,
    organization,
    patient,
    seed_identifier,
)
from seed.members import Member, chance

METHODS = {"in-person": "FLD", "telephonic-video": "VR", "text": "VR", "email": "VR"}


def claims(member: Member) -> list[tuple[str, Json]]:
    """Emergency and inpatient stays before the assignment, each with the name that becomes its urn:uuid."""
    random = random_of(member, 2)
    heavy = "avoidable-hospital-ed" in member.focus
    emergency = random.randint(5, 9) if heavy else random.choice((0, 0, 1, 2))
    inpatient = random.randint(1, 3) if heavy else int(chance(random, 15))
    found = [_claim(member, random, "EMER", place) for place in range(1, emergency + 1)]
    return found + [_claim(member, random, "IMP", place) for place in range(1, inpatient + 1)]


def _claim(member: Member, random: Random, kind: str, place: int) -> tuple[str, Json]:
    inpatient = kind == "IMP"
    name = key(member, f"claim-{'inpatient' if inpatient else 'ed'}-{place}")
    day = member.begins - timedelta(days=random.randint(3, 180))
    code, text = random.choice(lists()["inpatient" if inpatient else "emergency"])
    county = world.by_key()[member.plan].county
    start = instant(day, random.randint(0, 23), random.randint(0, 59))
    end = (day + timedelta(days=random.randint(1, 9))).isoformat() if inpatient else None
    return name, {
        "resourceType": "Encounter",
        "identifier": seed_identifier(name),
        "status": "finished",
        "class": coding(f"{HL7}/v3-ActCode", kind, "inpatient encounter" if inpatient else "emergency"),
        "type": [{"text": "Inpatient stay" if inpatient else "Emergency department visit"}],
        "subject": patient(member.cin),
        "period": {"start": start} | ({"end": end} if end else {}),
        "reasonCode": [{"coding": [coding(ICD10, code, text)]}],
        "serviceProvider": {"display": f"{random.choice(lists()['hospitals'][county])} (synthetic)"},
    }


def contacts(member: Member, as_of: date) -> list[tuple[str, Json]]:
    """Outreach attempts and services by the assigned provider."""
    if not member.live or member.status == "assigned":
        return []
    random = random_of(member, 3)
    reached = member.status in ("enrolled", "on-hold", "discontinued", "declined")
    attempts = random.randint(3, 5) if member.status == "unable-to-reach" else random.randint(1, 3)
    found = [
        _outreach(member, random, place, as_of, success=reached and place == attempts)
        for place in range(1, attempts + 1)
    ]
    if planned(member):
        found += [_service(member, random, place, as_of) for place in range(1, random.randint(1, 3) + 1)]
    return found


def _contact(member: Member, name: str, *, kind: str, method: str, day: date, minutes: int, hour: int) -> Json:
    hours, rest = divmod(hour * 60 + minutes, 60)
    virtual = METHODS[method]
    return {
        "resourceType": "Encounter",
        "identifier": seed_identifier(name),
        "status": "finished",
        "class": coding(f"{HL7}/v3-ActCode", virtual, "virtual" if virtual == "VR" else "field"),
        "type": [concept(ecm("ecm-encounter-kind"), kind), concept(ecm("ecm-outreach-method"), method)],
        "subject": patient(member.cin),
        "period": {"start": instant(day, hour), "end": instant(day, hours, rest)},
        "length": {"value": minutes, "unit": "min", "system": "http://unitsofmeasure.org", "code": "min"},
        "serviceProvider": organization(member.provider),
    }


def _outreach(member: Member, random: Random, place: int, as_of: date, *, success: bool) -> tuple[str, Json]:
    name = key(member, f"outreach-{place}")
    day = min(member.assigned + timedelta(days=place * 4 + random.randint(0, 3)), as_of - timedelta(days=1))
    method = random.choice(("in-person", "telephonic-video", "telephonic-video") if success else tuple(METHODS))
    minutes = random.choice((5, 10, 15, 20)) if not success else random.choice((20, 30, 45))
    found = _contact(
        member, name, kind="ecm-outreach", method=method, day=day, minutes=minutes, hour=random.randint(8, 15)
    )
    return name, found | {"extension": [extension("ecm-outreach-successful", "Boolean", success)]}


def _service(member: Member, random: Random, place: int, as_of: date) -> tuple[str, Json]:
    name = key(member, f"service-{place}")
    latest = max(1, (as_of - member.assigned).days - 1)
    day = member.assigned + timedelta(days=min(latest, 30 + random.randint(0, latest)))
    method = random.choice(("in-person", "telephonic-video"))
    minutes, hour = random.choice((30, 45, 60)), random.randint(9, 15)
    found = _contact(member, name, kind="ecm-service", method=method, day=day, minutes=minutes, hour=hour)
    return name, found | {"participant": [{"individual": role_of(member)}]}


def role_of(member: Member) -> Json:
    """The staff member who met the member."""
    staff = len(world.by_key()[member.provider].staff)
    return {"reference": f"PractitionerRole/{member.provider}-role-{random_of(member, 4).randrange(staff) + 1}"}
