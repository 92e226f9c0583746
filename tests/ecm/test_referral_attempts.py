"""A referral that nobody takes is reassigned; the first requester follows it, and the attempts read as one story."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.ecm import referral
from tests.ecm.referral import instead, issue, loop, made, moved, parallel_reason, request, sent, walked
from tests.ecm.scene import Scene, row

SIX_DAYS = 6 * 86_400_000


@pytest.fixture(scope="module")
def world(common_world: Scene) -> Scene:
    """The world that this file shares with others: members 511 and 512."""
    return common_world


@pytest.fixture(scope="module")
def patient(world: Scene) -> str:
    """A member of the plan, assigned to the clinic."""
    world.take_in(world.plan, [row(511)], mode="delta")
    return str(world.member(world.clinic, 511)["id"])


def again(of: dict[str, Any], by: str, to: str, reason: str = "no-answer", why: str = "Others are open") -> Any:
    """A new Task in place of `of`; `why` there may be others."""
    patient, focus = (of[name]["reference"].split("/")[1] for name in ("for", "focus"))
    others = [parallel_reason(why)] if why else []
    return referral.task(patient, focus, by, to, extension=[instead(of["id"], reason), *others])


@pytest.fixture
def back(world: Scene):
    """The clock as it was, after a test that moved it."""
    yield
    world.move_clock(-world.ahead)


def test_the_requester_reassigns(world: Scene, patient: str):
    """SD-42: silence ends by a new Task; the silent one is cancelled in the same write, and its side loses sight."""
    first = sent(world, patient, "pantry", parallel=False)
    second = made(world.clinic, again(first, "clinic", "meals", why=""))
    ended = world.clinic.get(f"Task/{first['id']}").json()
    assert (ended["status"], loop(ended)) == ("cancelled", ["loop-closed", "other"])
    assert ended["statusReason"]["text"] == "Reassigned: no-answer"
    assert issue(moved(world.pantry, ended, "accepted")) == (422, "business-rule")
    for hidden in (f"Task/{second['id']}", first["focus"]["reference"]):
        assert world.pantry.get(hidden).status_code == 404
    third = made(world.clinic, again(walked(world, second, ("meals", "rejected")), "clinic", "kitchen", "declined"))
    running = walked(world, third, ("kitchen", "accepted"))
    assert issue(world.clinic.post("Task", again(running, "clinic", "pantry"))) == (422, "business-rule")


@pytest.mark.usefixtures("back")
def test_the_plan_reassigns_what_is_late(world: Scene):
    """Not before its date; then the first requester follows the new Task, cannot change it, and others see nothing."""
    world.take_in(world.plan, [row(512)], mode="delta")
    patient = world.member(world.clinic, 512)["id"]
    first = sent(world, patient, "pantry", parallel=False)
    for name in ("plan", "other-plan", "street", "pantry"):
        assert world.clients[name].post("Task", again(first, name, "meals", why="")).status_code == 422, name
    assert world.clinic.get(f"Task/{first['id']}").json()["status"] == "requested"
    world.move_clock(SIX_DAYS + 4 * 86_400_000)
    second = made(world.plan, again(first, "plan", "meals", why=""))
    assert world.clinic.get(f"Task/{first['id']}").json()["status"] == "cancelled"
    world.take_in(world.plan, [row(512, "street")], mode="delta")  # the clinic is no longer assigned
    assert world.clinic.get(f"Patient/{patient}").status_code == 404
    second = walked(world, second, ("meals", "accepted"), ("meals", "in-progress"))
    seen = world.clinic.get(f"Task/{second['id']}")
    assert seen.status_code == 200
    assert seen.json()["status"] == "in-progress"
    for status in ("cancelled", "in-progress"):
        assert issue(moved(world.clinic, second, status, description="mine")) == (422, "business-rule")
    for name in ("pantry", "stranger", "other-plan", "kitchen"):
        assert world.clients[name].get(f"Task/{second['id']}").status_code == 404
    told = story(world.clinic, first)
    assert [one["status"] for one in told] == ["cancelled", "in-progress"]


def test_a_reassignment_is_of_the_same_request(world: Scene, patient: str):
    """Another request, a Task one cannot see, and a part of the extension that is missing are refused."""
    first, other = sent(world, patient, "pantry"), sent(world, patient, "pantry")
    wrong = again(first, "clinic", "meals") | {"focus": other["focus"]}
    assert issue(world.clinic.post("Task", wrong)) == (422, "business-rule")
    new = again(first, "clinic", "meals")
    new["extension"][0]["extension"].pop()
    assert world.clinic.post("Task", new).status_code == 422
    kept = made(world.clinic, again(first, "clinic", "meals"))
    assert issue(moved(world.clinic, kept, "requested", extension=[instead(other["id"])])) == (422, "business-rule")
    assert world.clinic.get(f"Task/{other['id']}").json()["status"] == "requested"


def test_an_answer_and_a_reassignment_at_once(world: Scene, patient: str):
    """Either the acceptance counts and the new Task is refused, or the other way round; never both."""
    for _ in range(4):
        first = sent(world, patient, "pantry")
        new = again(first, "clinic", "meals")
        with ThreadPoolExecutor(2) as pool:
            accepted = pool.submit(moved, world.pantry, first, "accepted")
            replaced = pool.submit(world.clinic.post, "Task", new)
        codes = accepted.result().status_code, replaced.result().status_code
        status = world.clinic.get(f"Task/{first['id']}").json()["status"]
        assert (codes[0] == 200, codes[1] == 201, status) in {(True, False, "accepted"), (False, True, "cancelled")}


# ---- the story ------------------------------------------------------------------------------------------------------


def story(client: Any, of: dict[str, Any]) -> list[dict[str, Any]]:
    """The attempts of a story by name of their parts; events as (status, loop codes)."""
    answer = client.get(f"{of['focus']['reference']}/$referral-story")
    assert answer.status_code == 200, answer.text
    found = []
    for attempt in answer.json()["parameter"][1:]:
        parts = attempt["part"]
        plain = {one["name"]: value for one in parts for name, value in one.items() if name.startswith("value")}
        events = [{p["name"]: p for p in one["part"]} for one in parts if one["name"] == "event"]
        found.append({**plain, "events": [event["status"]["valueCode"] for event in events]})
    return found


def test_the_attempts_read_as_one_story(world: Scene, patient: str):
    """In the order in which they were sent, each with its events, why it replaced another, and whether it was late."""
    first = sent(world, patient, "pantry", priority="urgent")
    second = made(world.clinic, again(first, "clinic", "meals", "wrong-county"))
    walked(world, second, ("meals", "accepted"), ("meals", "completed"))
    told = story(world.clinic, first)
    assert [one["events"] for one in told] == [["requested", "cancelled"], ["requested", "accepted", "completed"]]
    assert [one["asked"] for one in told] == [
        {"reference": "Organization/pantry", "display": "Pantry"},
        {"reference": "Organization/meals", "display": "Meals"},
    ]
    assert told[1]["replaces"] == {"reference": f"Task/{first['id']}"}
    assert told[1]["replaces-because"]["code"] == "wrong-county"
    assert [one["late"] for one in told] == [False, False]


def test_a_story_tells_only_what_one_may_see(world: Scene, patient: str):
    """The performer of one attempt reads its own; who sees no request hears 404, as for one that never was."""
    first = sent(world, patient, "pantry")
    made(world.clinic, again(first, "clinic", "meals"))
    own = story(world.meals, first)
    assert [one["asked"]["reference"] for one in own] == ["Organization/meals"]
    for name in ("stranger", "kitchen", "other-plan"):
        hidden = world.clients[name].get(f"{first['focus']['reference']}/$referral-story")
        absent = world.clients[name].get("ServiceRequest/never/$referral-story")
        assert (hidden.status_code, hidden.content) == (404, absent.content)


def test_a_page_to_be_printed(world: Scene, patient: str):
    """One page without scripts; what people wrote stays text; the same story as the JSON."""
    first = sent(world, patient, "pantry")
    bad = {"text": "<script>alert(1)</script> & so on"}
    rejected = moved(world.pantry, first, "rejected", statusReason=bad).json()
    made(world.clinic, again(rejected, "clinic", "meals", "declined"))
    path = f"{first['focus']['reference']}/$referral-story"
    page = world.clinic.get(path, headers={"Accept": "text/html"})
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "<script" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; so on" in page.text
    assert re.findall(r"<h2>(.*?)</h2>", page.text) == ["1. Clinic asked Pantry", "2. Clinic asked Meals"]
    assert "<h1>Food pantry</h1>" in page.text  # words, no codes
    assert "<td>Requested</td><td>Pending</td>" in page.text
    assert "In place of attempt 1: The organization declined" in page.text
    assert world.clinic.get(f"{path}?format=html").status_code == 200
    assert world.clinic.get(f"{path}?format=pdf").status_code == 400


def test_a_story_of_a_request_from_beyond_the_calendar(world: Scene, patient: str):
    """Row 48: an instant of year 0 or 10000 is told as that of the first or last day."""
    for at, told in (("0001-01-01T00:00:00+14:00", "Jan "), ("9999-12-31T23:59:59-12:00", "Dec ")):
        asked = made(world.clinic, {**request(patient, "clinic"), "authoredOn": at})
        page = world.clinic.get(f"ServiceRequest/{asked['id']}/$referral-story?format=html")
        assert (page.status_code, f"Requested {told}" in page.text) == (200, True), page.text
