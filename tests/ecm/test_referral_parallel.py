"""Parallel referrals: the first acceptance ends the others if the requester said so; two identical ones never pass."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fhir_server.ecm import vocabulary as words
from tests.ecm import referral
from tests.ecm.referral import issue, made, moved
from tests.ecm.scene import Scene, row


@pytest.fixture(scope="module")
def world(common_world: Scene) -> Scene:
    """The world that this file shares with others: members 531 to 533."""
    return common_world


@pytest.fixture(scope="module")
def patient(world: Scene) -> str:
    """A member of the plan, assigned to the clinic."""
    world.take_in(world.plan, [row(531), row(532), row(533)], mode="delta")
    return str(world.member(world.clinic, 531)["id"])


def parallel(world: Scene, patient: str, *names: str, ends: bool = True) -> list[dict[str, Any]]:
    """Tasks on one request, one for each organization."""
    focus = made(world.clinic, referral.request(patient, "clinic"))["id"]
    why = {"url": words.PARALLEL_REFERRAL_REASON, "valueString": "Hungry today"}
    flag = [{"url": words.ENDS_WITH_ACCEPTANCE, "valueBoolean": True}] if ends else []
    return [made(world.clinic, referral.task(patient, focus, "clinic", name, extension=[why, *flag])) for name in names]


def states(world: Scene, tasks: list[dict[str, Any]]) -> list[str]:
    """What has become of these Tasks."""
    return [world.clinic.get(f"Task/{one['id']}").json()["status"] for one in tasks]


def test_the_first_acceptance_ends_the_others(world: Scene, patient: str):
    """Those that were flagged and are open; the others lose sight of member and request with that very write."""
    first, second, third = tasks = parallel(world, patient, "pantry", "meals", "kitchen")
    running = moved(world.kitchen, third, "rejected").json()
    accepted = moved(world.meals, second, "accepted")
    assert accepted.status_code == 200, accepted.text
    assert states(world, tasks) == ["cancelled", "accepted", "rejected"]
    assert world.clinic.get(f"Task/{first['id']}").json()["statusReason"]["text"].startswith("Another organization")
    assert running["status"] == "rejected"
    assert moved(world.pantry, first, "accepted").status_code == 412
    for hidden in (f"Task/{second['id']}", first["focus"]["reference"]):
        assert world.pantry.get(hidden).status_code == 404


def test_only_if_the_requester_said_so(world: Scene, patient: str):
    """Without the flag each goes its own way; a performer cannot set it, on its own Task or later."""
    tasks = first, second = parallel(world, patient, "pantry", "meals", ends=False)
    flag = {"url": words.ENDS_WITH_ACCEPTANCE, "valueBoolean": True}
    assert issue(moved(world.meals, second, "accepted", extension=[flag])) == (422, "business-rule")
    assert moved(world.meals, second, "accepted").status_code == 200
    assert states(world, tasks) == ["requested", "accepted"]
    assert moved(world.pantry, first, "accepted").status_code == 200


def test_another_request_is_left_alone(world: Scene, patient: str):
    """The flag speaks of Tasks on the same ServiceRequest."""
    (one,), (other,) = parallel(world, patient, "pantry"), parallel(world, patient, "meals")
    assert moved(world.pantry, one, "accepted").status_code == 200
    assert states(world, [one, other]) == ["accepted", "requested"]


def test_two_accept_at_the_same_instant(world: Scene, patient: str):
    """Exactly one is accepted, and the other is cancelled; never both, never none."""
    for _ in range(4):
        tasks = parallel(world, patient, "pantry", "meals")
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(moved, world.clients[n], t, "accepted") for n, t in zip(("pantry", "meals"), tasks)]  # noqa: B905
        codes = sorted(one.result().status_code for one in asked)
        assert codes[0] == 200
        assert codes[1] in {404, 409, 412, 422}
        assert sorted(states(world, tasks)) == ["accepted", "cancelled"]


@pytest.mark.parametrize("number", [532, 533])
def test_identical_referrals_at_the_same_instant(world: Scene, patient: str, number: int):
    """Of several that are sent at once exactly one is stored; the others are told which one it is."""
    member = str(world.member(world.clinic, number)["id"])
    requests = [made(world.clinic, referral.request(member, "clinic"))["id"] for _ in range(6)]
    tasks = [referral.task(member, one, "clinic", "pantry", parallel=False) for one in requests]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda one: world.clinic.post("Task", one), tasks))
    codes = sorted(one.status_code for one in answers)
    assert codes == [201] + [422] * 5, [one.text for one in answers]
