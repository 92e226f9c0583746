"""The plan's referral to Enhanced Care Management, outreach, and enrolment."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import requests

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.demo import shapes
from fhir_server.ecm.demo.food_bank import send
from fhir_server.ecm.demo.stage import PLAN, PROVIDER, Json, Stage, codes_of, expect, reference

CALIFORNIA = ZoneInfo("America/Los_Angeles")
ATTEMPTS = (("text", 5, False), ("in-person", 30, True))  # method, minutes, whether the member was reached


def plan_refers_to_ecm(stage: Stage) -> None:
    """The plan refers the first member to Enhanced Care Management; the provider accepts."""
    member = stage.made["first"]
    category = [shapes.coded(words.SERVICE_CATEGORIES, "enhanced-care-management")]
    code = shapes.coded(words.SERVICES, "enhanced-care-management")
    request = shapes.request("ecm-request", PLAN, PROVIDER, member, stage.today, category=category, code=code)
    task = shapes.task("ecm-task", PLAN, PROVIDER, member, shapes.urn("ecm-request"), stage.today)
    send(stage, PLAN, request, task)
    stage.move(PROVIDER, "ecm-task", "accepted")


def provider_reaches_member(stage: Stage) -> None:
    """Two outreach attempts, the second one successful."""
    found = (_attempt(stage, place, *attempt) for place, attempt in enumerate(ATTEMPTS, 1))
    send(stage, PROVIDER, *found)
    stage.move(PROVIDER, "ecm-task", "in-progress")
    stage.tell("The plan refers its first member to Enhanced Care Management; the clinic accepts, and reaches the")
    stage.tell("member at the second attempt, in person.")


def _attempt(stage: Stage, place: int, method: str, minutes: int, reached: bool) -> Json:  # noqa: FBT001 - a fact
    began = datetime.combine(stage.today, time(8 + place), CALIFORNIA)
    virtual = method != "in-person"
    return shapes.named(
        "Encounter", f"outreach-{place}", "",
        extension=[shapes.extension(words.OUTREACH_SUCCESSFUL, "Boolean", reached)],
        status="finished",
        **{"class": {"system": words.ACT_CODE, "code": "VR" if virtual else "FLD"}},
        type=[shapes.coded(words.ENCOUNTER_KINDS, "ecm-outreach"), shapes.coded(words.OUTREACH_METHODS, method)],
        subject=reference(stage.made["first"]),
        period={"start": began.isoformat(), "end": (began + timedelta(minutes=minutes)).isoformat()},
        length={"value": minutes, "unit": "min", "system": "http://unitsofmeasure.org", "code": "min"},
        serviceProvider=reference(PROVIDER),
    )  # fmt: skip


def provider_enrols_member(stage: Stage) -> None:
    """With the care plan the member is enrolled: the loop of the plan's referral is closed."""
    done = shapes.done("Enrolled, care plan written")
    task = stage.move(PROVIDER, "ecm-task", "completed", output=done)
    expect("services-received" in codes_of(task["businessStatus"]), "the plan's referral is closed")
    hidden = stage.clients[PLAN].get(stage.made["ecm-task"])
    expect(hidden.status_code == requests.codes.ok, "the plan reads the end of its referral")
    stage.tell("The member is enrolled: the loop of the plan's referral is closed.")
