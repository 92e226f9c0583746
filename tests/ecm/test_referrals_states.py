"""Who may take a referral from which state to which: the whole table over HTTP, and the race for an open one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fhir_server.ecm.referrals.states import MOVES
from tests.ecm import referral
from tests.ecm.referral import issue, moved, organization, sent, walked
from tests.ecm.scene import Scene, row

pytestmark = pytest.mark.heavy

STATES = (
    "draft", "requested", "accepted", "in-progress", "on-hold", "rejected", "completed", "failed", "cancelled",
    "entered-in-error",
)  # fmt: skip
TARGETS = (*STATES, "received", "ready")
OFTEN = ("requested", "accepted", "completed")  # in every run; the others in the long one
# How a Task of clinic (requester) to pantry (owner) comes into each state.
WAYS: dict[str, tuple[tuple[str, str], ...]] = {
    "draft": (),
    "requested": (),
    "accepted": (("pantry", "accepted"),),
    "in-progress": (("pantry", "accepted"), ("pantry", "in-progress")),
    "on-hold": (("pantry", "accepted"), ("pantry", "on-hold")),
    "rejected": (("pantry", "rejected"),),
    "completed": (("pantry", "accepted"), ("pantry", "completed")),
    "failed": (("pantry", "accepted"), ("pantry", "failed")),
    "cancelled": (("clinic", "cancelled"),),
    "entered-in-error": (("clinic", "entered-in-error"),),
}
# The table of the guide, written down once more: state -> (what the performer, what the requester may make of it).
PERFORMER, REQUESTER = "pantry", "clinic"
TABLE = {
    "draft": ((), ("requested", "entered-in-error")),
    "requested": (("accepted", "rejected", "cancelled"), ("cancelled", "entered-in-error")),
    "accepted": (
        ("in-progress", "on-hold", "completed", "failed", "cancelled"), ("cancelled", "entered-in-error"),
    ),
    "in-progress": (("on-hold", "completed", "failed", "cancelled"), ("cancelled", "entered-in-error")),
    "on-hold": (("in-progress", "completed", "failed", "cancelled"), ("cancelled", "entered-in-error")),
    "rejected": ((), ("entered-in-error",)),
    "completed": ((), ("entered-in-error",)),
    "failed": ((), ("entered-in-error",)),
    "cancelled": ((), ("entered-in-error",)),
    "entered-in-error": ((), ()),
}  # fmt: skip


@pytest.fixture(scope="module")
def patient(world: Scene) -> str:
    """A member of the plan, assigned to the clinic."""
    world.take_in(world.plan, [row(1)], mode="delta")
    return str(world.member(world.clinic, 1)["id"])


@pytest.fixture(scope="module")
def focus(world: Scene, patient: str) -> str:
    """The ServiceRequest of all Tasks here."""
    return str(referral.made(world.clinic, referral.request(patient, "clinic"))["id"])


def brought(world: Scene, patient: str, focus: str, state: str) -> dict[str, Any]:
    """A new Task in this state."""
    status = "draft" if state == "draft" else "requested"
    now = referral.made(world.clinic, referral.task(patient, focus, "clinic", "pantry", status=status))
    return walked(world, now, *WAYS[state])


def others() -> Iterator[tuple[str, int]]:
    """Organizations that are no party: the plan and an assigned provider's peer see or do not see the Task."""
    yield "plan", 422
    yield "street", 404
    yield "kitchen", 404


def test_the_two_tables_agree():
    """SD-40: the server's table says what the guide's diagram says."""
    said = {
        (before, after)
        for before, (performer, requester) in TABLE.items()
        for after in (*performer, *requester)
    }  # fmt: skip
    assert set(MOVES) == said


@pytest.mark.parametrize(
    "state", [one if one in OFTEN else pytest.param(one, marks=pytest.mark.long) for one in STATES]
)
def test_every_move_of_every_side(world: Scene, patient: str, focus: str, state: str):
    """SD-40, row 96: each move outside the table is 422 business-rule (or 404) and changes nothing."""
    still = brought(world, patient, focus, state)
    for after in TARGETS:
        for name, allowed in zip((PERFORMER, REQUESTER), TABLE[state], strict=True):
            if after == state:
                continue
            if after in allowed:
                answer = moved(world.clients[name], brought(world, patient, focus, state), after)
                assert (answer.status_code, answer.json().get("status")) == (200, after), (name, after, answer.text)
            else:
                _refused(world, still, name, after)
        for name, status in others():
            _refused(world, still, name, after, status)
    current = world.clinic.get(f"Task/{still['id']}").json()
    assert current["meta"]["versionId"] == still["meta"]["versionId"]
    assert current == still


def _refused(world: Scene, still: dict[str, Any], name: str, after: str, expected: int = 422) -> None:
    client, tag = world.clients[name], f'W/"{still["meta"]["versionId"]}"'
    more = [{"op": "add", "path": "/statusReason", "value": referral.REASON},
            {"op": "add", "path": "/output", "value": referral.OUTPUT}]  # fmt: skip
    patch = [{"op": "replace", "path": "/status", "value": after}, *more]
    answer = client.patch(f"Task/{still['id']}", patch, headers={"If-Match": tag})
    hidden = client.get(f"Task/{still['id']}").status_code == 404
    code = "not-found" if hidden or expected == 404 else "business-rule"
    if after in {"received", "ready"} and not hidden:
        assert answer.status_code == 422, (name, after, answer.text)
    else:
        assert issue(answer) == (404 if code == "not-found" else 422, code), (name, after, answer.text)


def test_a_new_referral(world: Scene, patient: str, focus: str):
    """SD-30, SD-40: born as draft or requested, by its requester, for somebody."""
    for status in set(STATES) - {"draft", "requested"}:
        new = referral.task(patient, focus, "clinic", "pantry", status=status, statusReason=referral.REASON,
                            output=referral.OUTPUT)  # fmt: skip
        assert issue(world.clinic.post("Task", new)) == (422, "business-rule"), status
    cases = [
        referral.task(patient, focus, "plan", "pantry"),
        referral.task(patient, focus, "clinic"),
        referral.task(patient, focus, "clinic", "pantry", restriction={"recipient": [organization("meals")]}),
    ]
    for new in cases:
        assert issue(world.clinic.post("Task", new)) == (422, "business-rule")


def test_a_draft_is_sent_as_a_whole(world: Scene, patient: str, focus: str):
    """A draft may lack its addressee; it is checked when it is sent, and seen by nobody before."""
    draft = referral.made(world.clinic, referral.task(patient, focus, "clinic", status="draft"))
    assert issue(moved(world.clinic, draft, "requested")) == (422, "business-rule")
    owned = moved(world.clinic, draft, "draft", owner=organization("pantry"))
    assert owned.status_code == 200
    assert world.pantry.get(f"Task/{draft['id']}").status_code == 404
    assert moved(world.clinic, owned.json(), "requested").status_code == 200
    assert world.pantry.get(f"Task/{draft['id']}").status_code == 200


def test_what_was_sent_stays(world: Scene, patient: str):
    """Whom it is about, what for, from whom and to whom cannot change under the receiver's eyes."""
    now = sent(world, patient, "pantry")
    other = referral.made(world.clinic, referral.request(patient, "clinic"))["id"]
    for change in (
        {"focus": {"reference": f"ServiceRequest/{other}"}}, {"authoredOn": "2020-01-01"},
        {"owner": organization("meals")}, {"restriction": {"recipient": [organization("meals")]}},
        {"requester": organization("pantry")},
    ):  # fmt: skip
        assert issue(moved(world.clinic, now, "requested", **change)) == (422, "business-rule"), change
    answer = moved(world.pantry, now, "accepted", owner=organization("meals"))
    assert answer.status_code == 422
    assert world.clinic.get(f"Task/{now['id']}").json()["meta"]["versionId"] == "1"


def test_a_sent_referral_is_not_deleted(world: Scene, patient: str):
    """Its loop would be lost; a draft may go."""
    now = sent(world, patient, "pantry")
    assert issue(world.clinic.delete(f"Task/{now['id']}")) == (422, "business-rule")
    draft = sent(world, patient, "pantry", status="draft")
    assert world.clinic.delete(f"Task/{draft['id']}").status_code == 204


@pytest.mark.parametrize("status", ["rejected", "cancelled", "failed", "on-hold", "completed"])
def test_an_end_is_explained(world: Scene, patient: str, status: str):
    """SD-32, SD-33: a statusReason with text, or what came of it."""
    now = sent(world, patient, "pantry")
    if status not in {"rejected", "cancelled"}:
        now = walked(world, now, ("pantry", "accepted"))
    tag = {"If-Match": f'W/"{now["meta"]["versionId"]}"'}
    for more in ({}, {"statusReason": {"coding": [{"code": "x"}]}}, {"statusReason": {"text": " x"}, "output": []}):
        answer = world.pantry.put(f"Task/{now['id']}", {**now, "status": status, **more}, headers=tag)
        right = status != "completed" and more.get("statusReason", {}).get("text") and "output" not in more
        assert answer.status_code in ({200} if right else {400, 422}), (more, answer.text)
    assert moved(world.pantry, now, status).status_code == 200


def _accepted(world: Scene, name: str, now: dict[str, Any]) -> Any:
    return moved(world.clients[name], now, "accepted", owner=organization(name))


def test_the_race_for_an_open_referral(world: Scene, patient: str):
    """SD-41: of two that accept the same version at once exactly one succeeds; the other sees nothing any more."""
    for _ in range(5):
        now = sent(world, patient, "pantry", "meals")
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda name, now=now: _accepted(world, name, now), ("pantry", "meals")))
        won, lost = sorted(answer.status_code for answer in answers)
        assert won == 200
        assert lost in {404, 405, 409, 412}
        winner = ("pantry", "meals")[[answer.status_code for answer in answers].index(200)]
        loser = ({"pantry", "meals"} - {winner}).pop()
        assert world.clinic.get(f"Task/{now['id']}").json()["owner"] == organization(winner)
        assert world.clients[winner].get(f"Task/{now['id']}").status_code == 200
        for path in (f"Task/{now['id']}", now["focus"]["reference"]):
            assert world.clients[loser].get(path).status_code == 404


def test_one_candidate_declines(world: Scene, patient: str):
    """It leaves the list and sees nothing any more; the others still may accept; the last one's no is final."""
    now = sent(world, patient, "pantry", "meals", "kitchen")
    answer = moved(world.pantry, now, "rejected")
    assert answer.status_code == 200
    kept = answer.json()
    assert (kept["status"], "statusReason" in kept) == ("requested", False)
    assert kept["restriction"]["recipient"] == [organization("kitchen"), organization("meals")]
    assert world.pantry.get(f"Task/{now['id']}").status_code == 404
    assert world.pantry.get(now["focus"]["reference"]).status_code == 404
    assert world.meals.get(f"Task/{now['id']}").status_code == 200
    assert issue(moved(world.meals, kept, "cancelled")) == (422, "business-rule")  # not for the others
    kept = moved(world.meals, kept, "rejected").json()
    last = moved(world.kitchen, kept, "rejected").json()
    assert last["status"] == "rejected"
    history = world.clinic.get(f"Task/{now['id']}/_history").json()
    assert [one["resource"]["status"] for one in history["entry"]] == [
        "rejected",
        "requested",
        "requested",
        "requested",
    ]


def test_a_new_attempt_on_the_same_request(world: Scene, patient: str):
    """SD-42: after a no the requester sends a new Task on the same ServiceRequest, and sees the whole story."""
    focus = referral.made(world.clinic, referral.request(patient, "clinic", service="legal-aid"))["id"]
    first = referral.made(world.clinic, referral.task(patient, focus, "clinic", "pantry", parallel=False))
    assert moved(world.pantry, first, "rejected").status_code == 200
    second = referral.made(world.clinic, referral.task(patient, focus, "clinic", "meals", parallel=False))
    walked(world, second, ("meals", "accepted"), ("meals", "completed"))
    found = world.clinic.get(f"Task?focus=ServiceRequest/{focus}").json()["entry"]
    assert {one["resource"]["status"] for one in found} == {"rejected", "completed"}
    assert world.pantry.get(f"Task/{second['id']}").status_code == 404
    assert world.meals.get(f"Task/{first['id']}").status_code == 404
