"""A Community Support goes through the plan: provider, plan, meal provider; parent and child Task in step."""

from fhir_server.ecm.demo import shapes
from fhir_server.ecm.demo.food_bank import send
from fhir_server.ecm.demo.stage import MEALS, PLAN, PROVIDER, Stage, codes_of, expect

NUMBER = "CS-2026-0001"


def provider_asks_plan(stage: Stage) -> None:
    """The provider asks the plan for medically tailored meals for its second member."""
    facts = shapes.service("community-support", "medically-tailored-meals", "S5170")
    member = stage.made["second"]
    request = shapes.request("meals-request", PROVIDER, PLAN, member, stage.today, **facts)
    task = shapes.task("meals-task", PROVIDER, PLAN, member, shapes.urn("meals-request"), stage.today)
    send(stage, PROVIDER, request, task)
    stage.tell("The clinic asks the plan for medically tailored meals for its second member.")


def plan_authorizes(stage: Stage) -> None:
    """The plan authorizes, and sends its own request to the meal provider, based on and part of the first."""
    granted = shapes.authorization(NUMBER, stage.today)
    stage.move(PLAN, "meals-task", "accepted", extension=[granted])
    member = stage.made["second"]
    request = shapes.request(
        "meals-filler", PLAN, MEALS, member, stage.today, basedOn=[{"reference": stage.made["meals-request"]}],
        extension=[granted], **shapes.service("community-support", "medically-tailored-meals", "S5170"),
    )  # fmt: skip
    request["intent"] = "filler-order"
    parent = [{"reference": stage.made["meals-task"]}]
    focus = shapes.urn("meals-filler")
    child = shapes.task("meals-child", PLAN, MEALS, member, focus, stage.today, partOf=parent)
    send(stage, PLAN, request, child)
    stage.tell(f"The plan authorizes ({NUMBER}) and sends a request of its own to the meal provider.")


def meals_begin(stage: Stage) -> None:
    """The meal provider accepts and begins; the loop is closed while the meals go on."""
    inbox = stage.found(MEALS, f"Task?owner=Organization/{MEALS}&status=requested")
    expect([f"Task/{task['id']}" for task in inbox] == [stage.made["meals-child"]], "the meal provider has one Task")
    stage.move(MEALS, "meals-child", "accepted")
    stage.move(MEALS, "meals-child", "in-progress")
    task = stage.move(MEALS, "meals-child", "in-progress", businessStatus=shapes.loop_closed("services-received"))
    expect(task["status"] == "in-progress", "the meals go on")
    stage.tell("The meal provider accepts and delivers the first meals. It closes the loop (services received)")
    stage.tell("while its Task stays in progress: closing the loop is not completing the Task.")


def plan_mirrors(stage: Stage) -> None:
    """The plan takes the closure over to the provider's Task; the provider reads it there."""
    child = stage.found(PLAN, f"Task?part-of={stage.made['meals-task']}")[0]
    expect("loop-closed" in codes_of(child["businessStatus"]), "the plan reads the closure in its own Task")
    stage.move(PLAN, "meals-task", "in-progress")
    stage.move(PLAN, "meals-task", "in-progress", businessStatus=shapes.loop_closed("services-received"))
    parent = stage.get(PROVIDER, stage.made["meals-task"])
    expect("services-received" in codes_of(parent["businessStatus"]), "the provider reads the closure")
    stage.tell("The plan mirrors it to the clinic's Task, where the clinic reads it.")
