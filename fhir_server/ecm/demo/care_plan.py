"""The provider finds its members and writes a care plan, with the library of a SMART app.

https://docs.smarthealthit.org/client-py: fhirclient asks for the token itself, by a signed assertion.
"""

from typing import Any

from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.careplan import CarePlan
from fhirclient.models.group import Group
from fhirclient.models.patient import Patient

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.demo import shapes
from fhir_server.ecm.demo.stage import PLAN, PROVIDER, Json, Stage, expect, reference

LEAD = f"PractitionerRole/{PROVIDER}-role-1"
GOAL = "Has enough food for the household every week"


def smart_app(stage: Stage, who: str) -> Any:
    """A fhirclient server object with a token of that organization's client."""
    client = stage.clients[who]
    given = {"app_id": who, "api_base": stage.base, "scope": client.scopes, "jwt_token": client.assertion()}
    app = FHIRClient(settings=given)
    app.wants_patient = False
    app.prepare()
    app.authorize()
    return app.server


def provider_finds_members(stage: Stage) -> None:
    """The roster lists the provider's members; a search finds the same ones and nobody else."""
    server = smart_app(stage, PROVIDER)
    rosters = list(Group.where({"managing-entity": f"Organization/{PLAN}"}).perform_resources_iter(server))
    expect([f"Group/{roster.id}" for roster in rosters] == [stage.made["roster"]], "the provider sees its one roster")
    listed = sorted(member.entity.reference for member in rosters[0].member)
    count = stage.get(PROVIDER, "Patient?_total=accurate&_count=1")["total"]
    expect(count == len(listed), "a search finds the members of the roster and nobody else")
    for name, member in zip(("first", "second", "third"), listed, strict=False):
        stage.made[name] = member
    member = Patient.read(listed[0].partition("/")[2], server)
    cin = next(one.value for one in member.identifier if one.system == words.CIN)
    found = list(Patient.where({"identifier": f"{words.CIN}|{cin}"}).perform_resources_iter(server))
    expect([one.id for one in found] == [member.id], "a member is found by the CIN")
    stage.tell(f"The roster lists {len(listed)} members; a search finds the same {count}, and each of them by CIN.")


def provider_writes_care_plan(stage: Stage) -> None:
    """Care team with lead care manager, need, goal and plan are written at once; the health plan reads them."""
    server = smart_app(stage, PROVIDER)
    written = Bundle(_care_plan(stage)).create(server)
    for entry in written["entry"]:
        type_, id_ = entry["response"]["location"].split("/_history")[0].split("/")[-2:]
        stage.made[f"care {type_}"] = f"{type_}/{id_}"
    plans = list(CarePlan.where({"patient": stage.made["first"]}).perform_resources_iter(server))
    expect([plan.title for plan in plans] == ["Enhanced Care Management care plan"], "the care plan is there")
    stage.tell("Care team with its lead care manager, the need (Z59.41), a goal and the care plan: one transaction.")
    plan = stage.get(PLAN, stage.made["care CarePlan"])
    expect(plan["goal"] == [reference(stage.made["care Goal"])], "the plan reads the care plan as it was written")
    stage.tell("The health plan reads the same care plan.")


def _care_plan(stage: Stage) -> Json:
    member, today = stage.made["first"], stage.today
    need = shapes.food_insecurity(member, LEAD, today)
    return shapes.transaction(
        shapes.named("CareTeam", "careteam", words.CARE_TEAM, **_team(stage)),
        shapes.named("Condition", "need", words.CONDITION, **need),
        shapes.named("Goal", "goal", words.GOAL, **_goal(stage)),
        shapes.named("CarePlan", "careplan", words.CARE_PLAN, **_plan(stage)),
    )


def _team(stage: Stage) -> Json:
    lead = {
        "role": [shapes.coded(words.CARE_TEAM_ROLES, words.LEAD_CARE_MANAGER)],
        "member": reference(LEAD),
        "onBehalfOf": reference(PROVIDER),
    }
    member = {"role": [shapes.coded(words.CARE_TEAM_ROLES, "member")], "member": reference(stage.made["first"])}
    return {
        "status": "active",
        "name": "Enhanced Care Management team",
        "subject": reference(stage.made["first"]),
        "period": {"start": stage.today.isoformat()},
        "participant": [lead, member],
        "managingOrganization": [reference(PROVIDER)],
    }


def _goal(stage: Stage) -> Json:
    return {
        "lifecycleStatus": "active",
        "achievementStatus": shapes.coded("http://terminology.hl7.org/CodeSystem/goal-achievement", "in-progress"),
        "category": [shapes.coded(words.GRAVITY, "food-insecurity")],
        "description": {"text": GOAL},
        "subject": reference(stage.made["first"]),
        "startDate": stage.today.isoformat(),
        "target": [
            {
                "measure": {"text": "Weeks with enough food"},
                "detailString": "No week without enough food",
                "dueDate": stage.today.isoformat(),
            }
        ],
        "addresses": [reference(shapes.urn("need"))],
    }


def _plan(stage: Stage) -> Json:
    status = {"system": words.STATUSES, "code": "enrolled"}
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{GOAL}</div>'
    return {
        "text": {"status": "generated", "div": div},
        "extension": [shapes.extension(words.STATUS, "Coding", status)],
        "status": "active",
        "intent": "plan",
        "category": [
            shapes.coded(words.CAREPLAN_CATEGORY, "assess-plan"),
            shapes.coded(words.CARE_PLAN_CATEGORIES, "ecm-care-plan"),
        ],
        "title": "Enhanced Care Management care plan",
        "subject": reference(stage.made["first"]),
        "period": {"start": stage.today.isoformat()},
        "created": stage.today.isoformat(),
        "author": reference(LEAD),
        "careTeam": [reference(shapes.urn("careteam"))],
        "addresses": [reference(shapes.urn("need"))],
        "goal": [reference(shapes.urn("goal"))],
    }
