"""What a service can take is searchable, and a referral that it cannot serve is warned of before it is sent."""

from typing import Any

import pytest

from fhir_server.ecm import vocabulary as words
from tests.ecm import referral
from tests.ecm.referral import issue, made, moved, organization, sent
from tests.ecm.scene import Scene, row

CAPACITY = {name: {"system": words.GRAVITY, "code": name} for name in ("capacity", "no-capacity", "waitlist")}
FOOD = f"{words.COMMUNITY_RESOURCES}|food-pantry"


def service(by: str, code: str = "food-pantry", **facts: Any) -> dict[str, Any]:
    """A HealthcareService of an organization: counties, languages, populations, capacity, days of waiting."""
    counties = [{"url": words.SERVICE_COUNTY, "valueCoding": {"system": words.COUNTIES, "code": one}}
                for one in facts.get("counties", ())]  # fmt: skip
    status = [{"url": "status", "valueCoding": CAPACITY[facts.get("capacity", "capacity")]},
              {"url": "date", "valueDateTime": "2026-11-20"}]  # fmt: skip
    if "days" in facts:
        status.append({"url": "wait-days", "valueUnsignedInt": facts["days"]})
    resource = {
        "resourceType": "HealthcareService", "active": True, "providedBy": organization(by), "name": f"{by} {code}",
        "type": [{"coding": [{"system": words.COMMUNITY_RESOURCES, "code": code}]}],
        "extension": [*counties, {"url": words.SERVICE_CAPACITY, "extension": status}],
        "telecom": [{"system": "phone", "value": "619-555-0177"}],
        "availableTime": [{"daysOfWeek": ["sat"]}],
        "referralMethod": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/service-referral-method",
                                        "code": "phone"}]}],
    }  # fmt: skip
    if "languages" in facts:
        resource["communication"] = [concept(words.LANGUAGE, one) for one in facts["languages"]]
    if "populations" in facts:
        resource["eligibility"] = [{"code": concept(words.POPULATIONS, one)} for one in facts["populations"]]
    return resource


def concept(system: str, code: str) -> dict[str, Any]:
    """A CodeableConcept of one code."""
    return {"coding": [{"system": system, "code": code}]}


@pytest.fixture(scope="module")
def patient(world: Scene) -> str:
    """A member in San Diego (county 37) who speaks English."""
    world.take_in(world.plan, [row(1)], mode="delta")
    return str(world.member(world.clinic, 1)["id"])


@pytest.fixture(scope="module")
def listed(world: Scene) -> dict[str, str]:
    """Ids of services: kitchen is far away, meals has a waiting list, pantry is full here and open elsewhere."""
    of = {
        "far": service("kitchen", counties=["19", "30"], languages=["en", "es"]),
        "waiting": service("meals", counties=["37"], languages=["es", "en"], capacity="waitlist", days=21),
        "full": service("pantry", counties=["37"], capacity="no-capacity"),
        "spanish": service("pantry", counties=["37"], languages=["es"]),
        "families": service("meals", "legal-aid", populations=["homeless-families"]),
    }
    return {name: made(world.clients[one["providedBy"]["reference"][13:]], one)["id"] for name, one in of.items()}


def found(world: Scene, listed: dict[str, str], criteria: str) -> set[str]:
    """Names of the services that a search finds."""
    answer = world.street.get(f"HealthcareService?{criteria}")
    assert answer.status_code == 200, answer.text
    names = {fid: name for name, fid in listed.items()}
    return {names[one["resource"]["id"]] for one in answer.json().get("entry", [])}


@pytest.mark.parametrize(
    ("criteria", "names"),
    [
        ("county=37", {"waiting", "full", "spanish"}),
        (f"county={words.COUNTIES}|19", {"far"}),
        ("capacity=waitlist", {"waiting"}),
        ("county=37&capacity:not=no-capacity&language=en", {"waiting"}),
        ("wait-days=le30", {"waiting"}),
        ("wait-days=lt14", set()),
        ("language=es", {"far", "waiting", "spanish"}),
        ("population=homeless-families", {"families"}),
        ("available-day=sat&service-type=legal-aid", {"families"}),
        ("available-day=mon", set()),
        ("referral-method=phone&telecom=619-555-0177&county=30", {"far"}),
    ],
)
def test_services_are_found_by_what_they_take(world: Scene, listed: dict[str, str], criteria: str, names: set[str]):
    """County, language, population, waiting list, hours and how to reach, for everybody: it is the directory."""
    assert found(world, listed, criteria) == names


def test_a_referral_that_cannot_be_served_is_warned_of(world: Scene, patient: str, listed: dict[str, str]):
    """$check-referral says why, for each organization; the referral is refused until it says why it is sent."""
    asked = "&".join(f"organization=Organization/{name}" for name in ("kitchen", "meals", "pantry", "shelter"))
    told = world.clinic.get(f"Task/$check-referral?patient=Patient/{patient}&service={FOOD}&{asked}")
    assert told.status_code == 200, told.text
    assert [(one["severity"], one["diagnostics"].partition(": ")[2]) for one in told.json()["issue"]] == [
        ("warning", "It does not serve the member's county."),
        ("information", "It has a waiting list of 21 days (said 2026-11-20)."),
        ("warning", "It is not given in the member's language."),
        ("warning", "It has no capacity (said 2026-11-20)."),
        ("information", "The directory lists no such service of this organization."),
    ]
    focus = made(world.clinic, referral.request(patient, "clinic"))["id"]
    task = referral.task(patient, focus, "clinic", "kitchen")
    refused = world.clinic.post("Task", task)
    assert issue(refused) == (422, "business-rule")
    assert "Organization/kitchen: It does not serve the member's county." in refused.text
    despite = {"url": words.SENT_DESPITE, "valueString": "The family moves there on Friday"}
    assert made(world.clinic, {**task, "extension": [*task["extension"], despite]})["status"] == "requested"
    empty = {"url": words.SENT_DESPITE, "valueString": " "}
    assert world.clinic.post("Task", {**task, "extension": [*task["extension"], empty]}).status_code in {400, 422}


def test_one_who_can_is_enough(world: Scene, patient: str, listed: dict[str, str]):
    """A waiting list refuses nothing; of several candidates one that can serve is enough; drafts are judged too."""
    assert sent(world, patient, "meals")["status"] == "requested"
    assert sent(world, patient, "kitchen", "meals")["status"] == "requested"
    draft = sent(world, patient, "kitchen", status="draft")
    assert issue(moved(world.clinic, draft, "requested")) == (422, "business-rule")


def test_populations(world: Scene, patient: str, listed: dict[str, str]):
    """A service for families only, asked for a member of another Population of Focus; what is unknown never blocks."""
    code = {"url": words.POPULATION_OF_FOCUS, "valueCodeableConcept": concept(words.POPULATIONS, "birth-equity")}
    for extension, status in (([code], 422), ([], 201)):
        more = {"extension": extension} if extension else {}
        focus = made(world.clinic, referral.request(patient, "clinic", service="legal-aid", **more))["id"]
        assert world.clinic.post("Task", referral.task(patient, focus, "clinic", "meals")).status_code == status


def test_nobody_speaks_for_another(world: Scene, patient: str, listed: dict[str, str]):
    """A service that a stranger wrote of an organization stops nobody's referral to it."""
    made(world.stranger, service("street", capacity="no-capacity"))
    assert sent(world, patient, "street")["status"] == "requested"


def test_a_check_tells_nothing_of_hidden_members(world: Scene, patient: str):
    """404, as for a member who never was; what is written wrongly is named."""
    path = "Task/$check-referral?service=x|y&organization=Organization/meals&patient=Patient/"
    hidden, absent = (world.stranger.get(path + fid) for fid in (patient, "never"))
    assert (hidden.status_code, hidden.content) == (404, absent.content)
    for wrong in ("service=x&patient=Patient/1", "service=x|y&patient=1"):
        assert world.clinic.get(f"Task/$check-referral?organization=Organization/meals&{wrong}").status_code == 400
