"""A referral that nobody answers goes to another organization, which has a telephone only: its answer is recorded."""

import requests

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.demo import shapes
from fhir_server.ecm.demo.food_bank import send
from fhir_server.ecm.demo.stage import FOOD_BANK, PLAN, PROVIDER, Json, Stage, body, codes_of, expect, reference

HALL = {"active": True, "name": "Chestnut Street Hall", "telecom": [{"system": "phone", "value": "559-555-0144"}]}


def nobody_answers(stage: Stage) -> None:
    """The food bank is asked for clothes and stays silent; the referral says by when it should have answered."""
    member = stage.made["second"]
    facts = shapes.service("community-resource", "clothing-household")
    request = shapes.request("clothes-request", PROVIDER, FOOD_BANK, member, stage.today, **facts)
    focus = shapes.urn("clothes-request")
    task = shapes.task("clothes-task", PROVIDER, FOOD_BANK, member, focus, stage.today) | {"priority": "urgent"}
    send(stage, PROVIDER, request, task, shapes.named("Organization", "hall", "", **HALL))
    del stage.made["hall"]  # the directory is everybody's to read: nothing to hide from strangers
    due = _due(stage.get(PROVIDER, stage.made["clothes-task"]))
    listed = stage.found(
        PROVIDER, f"Task?status=requested&answer-by=le{due[:10]}&focus={stage.made['clothes-request']}"
    )
    expect(len(listed) == 1, "what is due stands in the clinic's worklist")
    stage.tell(f"Clothes for a second member, urgently: the food bank should answer by {due[:16]}, and says nothing.")


def another_is_asked(stage: Stage) -> None:
    """A new Task on the same request ends the silent one; who was silent sees nothing of the member any more."""
    member, request = stage.made["second"], stage.made["clothes-request"]
    reason = {"system": words.REASSIGNMENT_REASONS, "code": "no-answer"}
    parts = [
        shapes.extension("replaces", "Reference", reference(stage.made["clothes-task"])),
        shapes.extension("reason", "Coding", reason),
    ]
    instead = {"extension": [{"url": words.REASSIGNMENT, "extension": parts}]}
    (hall,) = stage.found(PROVIDER, f"Organization?identifier={shapes.STORY}|hall")
    asked = f"Organization/{hall['id']}"
    send(stage, PROVIDER, shapes.task("clothes-again", PROVIDER, asked, member, request, stage.today, **instead))
    silent = stage.get(PROVIDER, stage.made["clothes-task"])
    expect(silent["status"] == "cancelled", "the silent referral is cancelled with the new one")
    expect(stage.clients[FOOD_BANK].get(request).status_code == requests.codes.not_found, "who was silent is out of it")
    stage.tell("The clinic asks a parish hall instead: the silent referral is cancelled in the same moment.")


def answer_is_phoned(stage: Stage) -> None:
    """The hall has no system: the clinic writes down its yes, the plan that services began, each as reported."""
    for who, status, more in (
        (PROVIDER, "accepted", {}),
        (PLAN, "in-progress", {"loop": words.LOOP_CLOSED, "closure": words.SERVICES_RECEIVED}),
    ):
        answer = stage.clients[who].post(f"{stage.made['clothes-again']}/$record-answer", _said(stage, status, more))
        task = body(answer, requests.codes.ok)
        expect(task["status"] == status, f"the reported answer counts: {status}")
        reported = [one for one in task["extension"] if one["url"] == words.REPORTED_ANSWER]
        expect(len(reported) == 1, "it is marked as reported")
    expect(words.LOOP_CLOSED in codes_of(task["businessStatus"]), "the loop is closed")
    stage.tell("The hall has a telephone only: the clinic records its yes, the plan that the clothes were handed over.")


def attempts_are_one_story(stage: Stage) -> None:
    """Both attempts, in order, with what became of them."""
    told = stage.get(PROVIDER, f"{stage.made['clothes-request']}/$referral-story")
    states = [
        part["valueCode"]
        for one in told["parameter"] if one["name"] == "attempt"
        for part in one["part"] if part["name"] == "status"
    ]  # fmt: skip
    expect(states == ["cancelled", "in-progress"], "the story has both attempts")
    stage.tell(f"$referral-story tells it as one: {', then '.join(states)}.")


def _due(task: Json) -> str:
    return str(next(one["valueDateTime"] for one in task["extension"] if one["url"] == words.ANSWER_BY))


def _said(stage: Stage, status: str, more: dict[str, str]) -> Json:
    said = {"status": ("Code", status), "by": ("String", "The caretaker"), "channel": ("Code", "phone")}
    said |= {"at": ("DateTime", stage.today.isoformat()), **{name: ("Code", code) for name, code in more.items()}}
    parameters = [{"name": name, f"value{kind}": value} for name, (kind, value) in said.items()]
    return {"resourceType": "Parameters", "parameter": parameters}
