"""Each referral has an answer-by date that the server sets; what is due or late is found by one search."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from fhir_server.ecm import vocabulary as words
from tests.ecm import referral
from tests.ecm.referral import issue, made, moved, parallel_reason, sent
from tests.ecm.scene import Scene, row


@pytest.fixture(scope="module")
def world(common_world: Scene) -> Scene:
    """The world that this file shares with others: members 501."""
    return common_world


@pytest.fixture(scope="module")
def patient(world: Scene) -> str:
    """A member of the plan, assigned to the clinic."""
    world.take_in(world.plan, [row(501)], mode="delta")
    return str(world.member(world.clinic, 501)["id"])


def answer_by(task: dict[str, Any]) -> str | None:
    """The answer-by date of a Task, None if it has none."""
    found = [one["valueDateTime"] for one in task.get("extension", []) if one["url"] == words.ANSWER_BY]
    return found[0] if found else None


def test_the_server_sets_the_date(world: Scene, patient: str):
    """By urgency and from when it is sent; a draft has none, and what a client writes there does not count."""
    written = {"url": words.ANSWER_BY, "valueDateTime": "2099-01-01T00:00:00Z"}
    routine = sent(world, patient, "pantry", extension=[written, parallel_reason()])
    urgent = sent(world, patient, "pantry", priority="urgent")
    now = datetime.fromisoformat(urgent["meta"]["lastUpdated"])
    due = datetime.fromisoformat(answer_by(urgent) or "")
    assert abs(due - now - timedelta(hours=72)) < timedelta(seconds=2)
    assert (answer_by(routine) or "")[10:19] == "T23:59:59"
    draft = sent(world, patient, "pantry", status="draft", extension=[written, parallel_reason()])
    assert answer_by(draft) is None
    assert answer_by(moved(world.clinic, draft, "requested").json())


def test_the_date_stays(world: Scene, patient: str):
    """Left out by a client it is kept, changed by a client it is refused, and the answer does not remove it."""
    now = sent(world, patient, "pantry")
    without = {name: value for name, value in now.items() if name != "extension"}
    later = {"url": words.ANSWER_BY, "valueDateTime": "2099-01-01T00:00:00Z"}
    assert issue(moved(world.pantry, now, "accepted", extension=[later])) == (422, "business-rule")
    accepted = moved(world.pantry, without, "accepted").json()
    assert answer_by(accepted) == answer_by(now)


def test_sobering_centers_are_exempt(world: Scene, patient: str):
    """Closed-loop rules do not apply to them (5.1): no date, and so in no worklist."""
    focus = made(world.plan, referral.request(patient, "plan", support=True, service="sobering-centers"))["id"]
    task = made(world.plan, referral.task(patient, focus, "plan", "kitchen"))
    assert answer_by(task) is None
    assert task["id"] not in found(world.plan, "status=requested&answer-by:missing=false&owner=Organization/kitchen")


def found(client: Any, criteria: str) -> set[str]:
    """Ids of the Tasks that a search finds."""
    answer = client.get(f"Task?{criteria}")
    assert answer.status_code == 200, answer.text
    return {one["resource"]["id"] for one in answer.json().get("entry", [])}


def test_the_worklist_of_what_is_late(world: Scene, patient: str):
    """A referral is in it from its date on and until it is answered, for both sides and nobody else."""
    now = sent(world, patient, "meals", priority="stat")
    due = datetime.fromisoformat(answer_by(now) or "")
    after, before = (due + timedelta(seconds=1)).isoformat(), (due - timedelta(seconds=1)).isoformat()
    late = "status=requested&answer-by=lt{}".format
    assert now["id"] in found(world.clinic, late(after.replace("+", "%2B")))
    assert now["id"] in found(world.meals, late(after.replace("+", "%2B")))
    assert now["id"] not in found(world.clinic, late(before.replace("+", "%2B")))
    assert found(world.stranger, late("2099-01-01")) == set()
    assert moved(world.meals, now, "accepted").status_code == 200
    assert now["id"] not in found(world.clinic, late("2099-01-01"))


def test_who_accepts_an_open_referral_need_not_name_itself(world: Scene, patient: str):
    """SD-41: the server makes it the owner; naming another organization is still refused."""
    now = sent(world, patient, "pantry", "meals")
    assert issue(moved(world.pantry, now, "accepted", owner=referral.organization("meals"))) == (422, "business-rule")
    accepted = moved(world.pantry, now, "accepted")
    assert accepted.status_code == 200, accepted.text
    assert accepted.json()["owner"] == referral.organization("pantry")
    assert world.meals.get(f"Task/{now['id']}").status_code == 404
