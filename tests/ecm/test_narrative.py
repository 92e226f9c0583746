"""Care plans that come without a narrative get one (EC-04); one that is there stays byte for byte."""

from typing import Any

from fhir_server.ecm import vocabulary as words
from tests.ecm.scene import Scene, row


def care_plan(world: Scene, number: int, **more: Any) -> dict[str, Any]:
    """An ECM care plan of a new member."""
    world.take_in(world.plan, [row(number)], mode="delta")
    return {
        "resourceType": "CarePlan", "status": "active", "intent": "plan", "title": "Plan <b>& more</b>",
        "category": [{"coding": [{"system": words.CAREPLAN_CATEGORY, "code": "assess-plan"}]},
                     {"coding": [{"system": words.CARE_PLAN_CATEGORIES, "code": "ecm-care-plan"}]}],
        "subject": {"reference": f"Patient/{world.member(world.clinic, number)['id']}"},
        "period": {"start": "2026-02-10"}, **more,
    }  # fmt: skip


def test_generated_when_absent(world: Scene):
    """It says what the plan says, escaped; a later version without one gets a new one."""
    plan = care_plan(world, 1)
    stored = world.clinic.post("CarePlan", plan)
    assert stored.status_code == 201, stored.text
    text = stored.json()["text"]
    assert text["status"] == "generated"
    assert "Plan &lt;b&gt;&amp; more&lt;/b&gt;" in text["div"]
    assert "2026-02-10" in text["div"]
    changed = {**plan, "id": stored.json()["id"], "status": "completed"}
    assert "completed" in world.clinic.put(f"CarePlan/{changed['id']}", changed).json()["text"]["div"]
    assert world.plan.get(f"CarePlan/{changed['id']}").json()["text"]["status"] == "generated"


def test_untouched_when_present(world: Scene):
    """A narrative that somebody wrote is theirs."""
    text = {"status": "additional", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>By  hand</p></div>'}
    stored = world.clinic.post("CarePlan", care_plan(world, 2, text=text)).json()
    assert stored["text"] == text
    again = world.clinic.put(f"CarePlan/{stored['id']}", {**stored, "title": "Other"}).json()
    assert again["text"] == text


def test_other_types_get_none(world: Scene):
    """Only where US Core asks for a narrative is one made."""
    goal = {"resourceType": "Goal", "lifecycleStatus": "active", "description": {"text": "Food"},
            "subject": care_plan(world, 3)["subject"]}  # fmt: skip
    assert "text" not in world.clinic.post("Goal", goal).json()
