"""The directory: each organization's Organization, staff, roles, locations and services, with readable ids."""

from seed import numbers, world
from seed.codes import (
    HL7,
    NPI,
    NUCC,
    PLAN_CODE,
    TIN,
    Json,
    coding,
    concept,
    ecm,
    organization,
    seed_identifier,
)
from seed.world import Organization

V2_IDENTIFIER = f"{HL7}/v2-0203"


def resources(facts: Organization) -> list[Json]:
    """Everything the directory says of one organization, in the order in which it can be written."""
    location = _location(facts)
    staff = [part for place in range(len(facts.staff)) for part in _staff(facts, place)]
    return [_organization(facts), location, *staff, *_services(facts)]


def _telecom(facts: Organization) -> list[Json]:
    return [
        {"system": "phone", "value": facts.phone, "use": "work"},
        {"system": "email", "value": facts.email, "use": "work"},
    ]


def _address(facts: Organization) -> Json:
    place = world.places(facts.county)
    city, code, _ = place["cities"][facts.city]
    return {
        "use": "work",
        "line": [f"{100 + facts.number * 37} {world.streets()[facts.number % len(world.streets())]}"],
        "city": city,
        "district": place["county"],
        "state": "CA",
        "postalCode": code,
        "country": "US",
    }


def _organization(facts: Organization) -> Json:
    plan = facts.part == "plan"
    kind = concept(f"{HL7}/organization-type", "pay") if plan else concept(ecm("ecm-provider-kind"), facts.kind)
    identifiers = [
        {"type": concept(V2_IDENTIFIER, "NPI"), "system": NPI, "value": facts.npi},
        {"type": concept(V2_IDENTIFIER, "TAX"), "system": TIN, "value": facts.tin},
    ]
    if facts.plan_code:
        identifiers.append({"system": PLAN_CODE, "value": facts.plan_code})
    return {
        "resourceType": "Organization",
        "id": facts.key,
        "identifier": identifiers,
        "active": True,
        "type": [kind],
        "name": facts.name,
        "telecom": _telecom(facts),
        "address": [_address(facts)],
    } | ({"partOf": organization(facts.parent)} if facts.parent else {})


def _location(facts: Organization) -> Json:
    return {
        "resourceType": "Location",
        "id": f"{facts.key}-site",
        "status": "active",
        "name": f"{facts.name.removesuffix(' (synthetic)')}, main site",
        "mode": "instance",
        "telecom": _telecom(facts)[:1],
        "address": _address(facts),
        "managingOrganization": organization(facts.key),
    }


def _staff(facts: Organization, place: int) -> list[Json]:
    given, family, title = facts.staff[place]
    key = f"{facts.key}-staff-{place + 1}"
    mail = {"system": "email", "value": f"staff{place + 1}@{facts.key}.example.org", "use": "work"}
    direct = {"system": "phone", "value": numbers.phone(facts.phone[:3], 40 + facts.number * 3 + place), "use": "work"}
    practitioner = {
        "resourceType": "Practitioner",
        "id": key,
        "identifier": [{"system": NPI, "value": numbers.npi(60_000_000 + facts.number * 911 + place)}],
        "active": True,
        "name": [{"use": "official", "family": family, "given": [given]}],
        "telecom": [direct, mail],
    }
    role = {
        "resourceType": "PractitionerRole",
        "id": f"{facts.key}-role-{place + 1}",
        "active": True,
        "practitioner": {"reference": f"Practitioner/{key}"},
        "organization": organization(facts.key),
        "code": [{"text": title}],
        "specialty": [{"coding": [coding(NUCC, *facts.taxonomy)]}],
        "location": [{"reference": f"Location/{facts.key}-site"}],
        "telecom": [direct, mail],
    }
    return [practitioner, role]


def _services(facts: Organization) -> list[Json]:
    if facts.part == "provider":
        return [_service(facts, "enhanced-care-management", "enhanced-care-management", "Enhanced Care Management")]
    return [_service(facts, *service) for service in facts.services]


def _service(facts: Organization, category: str, code: str, name: str) -> Json:
    system = {
        "enhanced-care-management": "ecm-service",
        "community-support": "ecm-community-support",
        "community-resource": "ecm-community-resource",
    }[category]
    return {
        "resourceType": "HealthcareService",
        "id": f"{facts.key}-{code}",
        "identifier": seed_identifier(f"{facts.key}-{code}"),
        "active": True,
        "providedBy": organization(facts.key),
        "category": [concept(ecm("ecm-service-category"), category)],
        "type": [concept(ecm(system), code)],
        "name": name,
        "location": [{"reference": f"Location/{facts.key}-site"}],
        "telecom": _telecom(facts),
        "availableTime": [
            {
                "daysOfWeek": ["mon", "tue", "wed", "thu", "fri"],
                "availableStartTime": "08:30:00",
                "availableEndTime": "17:00:00",
            }
        ],
        "appointmentRequired": code not in ("food-pantry", "sobering-centers"),
    }
