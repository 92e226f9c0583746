"""The system clients of the world: one for each organization, without keys, which are made where they are used."""

from seed.codes import NPI, TIN, Json
from seed.world import Organization, organizations

DIRECTORY = ("Organization", "Practitioner", "PractitionerRole", "Location", "HealthcareService")
SHARED_CARE = ("ServiceRequest", "Task", "Consent", "Encounter", "CareTeam", "Provenance", "EpisodeOfCare")
PLAN_OWNS = ("Patient", "Coverage", "Group", "RelatedPerson")
PROVIDER_OWNS = (
    "CarePlan",
    "Goal",
    "Condition",
    "Observation",
    "Procedure",
    "DocumentReference",
    "QuestionnaireResponse",
)
PURPOSES = {
    "plan": ["HOPERAT", "HPAYMT", "CAREMGT"],
    "provider": ["TREAT", "CAREMGT"],
    "unit": ["TREAT"],
    "community": ["TREAT"],
}


def _scopes(letters: str, types: tuple[str, ...]) -> list[str]:
    return [f"system/{name}.{letters}" for name in types]


def scopes(part: str) -> str:
    """What the client of a plan, provider, unit or community organization asks for: no more than its work needs."""
    found = _scopes("crus", DIRECTORY)
    if part == "plan":
        found += _scopes("cruds", PLAN_OWNS + SHARED_CARE) + _scopes("rs", PROVIDER_OWNS)
    elif part in ("provider", "unit"):
        found += _scopes("rs", PLAN_OWNS) + _scopes("cruds", SHARED_CARE + PROVIDER_OWNS)
    else:
        found += _scopes("rus", ("Task",)) + _scopes("crus", ("Procedure", "DocumentReference"))
        found += _scopes("rs", ("ServiceRequest", "Patient", "Condition", "Goal", "Consent"))
    return " ".join(found)


def rights(part: str) -> list[str]:
    """Every organization enters itself in the directory under readable ids; a plan assigns members."""
    return ["directory-ids", "assign"] if part == "plan" else ["directory-ids"]


def client(facts: Organization) -> Json:
    """One organization's client, with the numbers that the exchange has verified for its organization."""
    return {
        "id": facts.key,
        "name": facts.name,
        "organization": facts.reference,
        "law_class": facts.law,
        "scopes": scopes(facts.part),
        "purposes": PURPOSES[facts.part],
        "rights": rights(facts.part),
        "identifiers": [f"{NPI}|{facts.npi}", f"{TIN}|{facts.tin}"],
    }


def clients() -> list[Json]:
    """All clients, in the order of the organizations."""
    return [client(facts) for facts in organizations()]
