"""An organization with a telephone only: what it answered is recorded by the requester or the plan, and counts."""

from typing import Any

import pytest

from fhir_server.ecm import vocabulary as words
from tests.ecm import referral
from tests.ecm.referral import issue, loop, made, moved, organization, parallel_reason, said, sent
from tests.ecm.scene import Scene, row

AT = "2026-11-20T11:00:00-08:00"


@pytest.fixture(scope="module")
def world(common_world: Scene) -> Scene:
    """The world that this file shares with others: members 521."""
    return common_world


@pytest.fixture(scope="module")
def patient(world: Scene) -> str:
    """A member of the plan, assigned to the clinic; two organizations of the directory have no system."""
    world.take_in(world.plan, [row(521)], mode="delta")
    own = {"organization": "Organization/plan", "rights": "update-create"}
    setup = world.server.client("directory-setup", **own)
    for name in ("church", "hall"):
        stored = setup.put(f"Organization/{name}", {"resourceType": "Organization", "id": name, "name": name.title()})
        assert stored.status_code == 201, stored.text
    return str(world.member(world.clinic, 521)["id"])


def report(task: dict[str, Any]) -> dict[str, Any]:
    """The parts of the mark of a reported answer, {} if there is none."""
    found = [one["extension"] for one in task.get("extension", []) if one["url"] == words.REPORTED_ANSWER]
    return {part["url"]: next(v for k, v in part.items() if k != "url") for part in (found[0] if found else [])}


def recorded(client: Any, task: dict[str, Any], status: str, **more: Any) -> Any:
    """The answer to $record-answer."""
    return client.post(f"Task/{task['id']}/$record-answer", said(status, AT, **more))


def test_a_phoned_answer_counts_and_is_marked(world: Scene, patient: str):
    """By the requester and then by the plan, through every state, with who said it, how, when and who wrote it down."""
    now = sent(world, patient, "church")
    accepted = recorded(world.clinic, now, "accepted")
    assert accepted.status_code == 200, accepted.text
    assert (accepted.json()["status"], loop(accepted.json())) == ("accepted", ["accepted"])
    assert report(accepted.json()) == {
        "by": "Front desk", "at": AT, "recorder": organization("clinic"),
        "channel": {"system": words.REPORT_CHANNELS, "code": "phone"},
    }  # fmt: skip
    begun = recorded(world.plan, now, "in-progress", loop="loop-closed", closure="services-received").json()
    assert (begun["status"], loop(begun)) == ("in-progress", ["loop-closed", "services-received"])
    assert report(begun)["recorder"] == organization("plan")
    done = recorded(world.plan, now, "completed")
    assert done.status_code == 200, done.text
    told = world.clinic.get(f"{now['focus']['reference']}/$referral-story").text
    assert "Front desk, phone" in told


def test_the_state_machine_holds_for_reports(world: Scene, patient: str):
    """SD-40: no move that the organization itself could not make; a no needs its reason; no future."""
    now = sent(world, patient, "church")
    assert issue(recorded(world.clinic, now, "completed")) == (422, "business-rule")
    assert recorded(world.clinic, now, "rejected").status_code == 400
    assert recorded(world.clinic, now, "requested").status_code == 400
    future = said("accepted", AT)
    future["parameter"][3]["valueDateTime"] = "2099-01-01"
    assert world.clinic.post(f"Task/{now['id']}/$record-answer", future).status_code == 400
    odd = said("accepted", AT)
    odd["parameter"][2]["valueCode"] = "pigeon"
    assert world.clinic.post(f"Task/{now['id']}/$record-answer", odd).status_code == 422
    no = recorded(world.clinic, now, "rejected", reason="They are full until spring").json()
    assert (no["status"], loop(no)) == ("rejected", ["declined", "provider-declined"])
    assert issue(recorded(world.clinic, now, "accepted")) == (422, "business-rule")
    stale = {"If-Match": 'W/"1"'}
    other = sent(world, patient, "hall")
    recorded(world.clinic, other, "accepted")
    late = world.clinic.post(f"Task/{other['id']}/$record-answer", said("in-progress", AT), headers=stale)
    assert late.status_code == 412


def test_nobody_else_records(world: Scene, patient: str):
    """Others see nothing (404); a party that is neither requester nor plan is refused; nobody writes the mark."""
    now = sent(world, patient, "church", "pantry")
    for name in ("stranger", "other-plan", "kitchen", "street"):
        hidden = recorded(world.clients[name], now, "accepted", organization=organization("church"))
        assert hidden.status_code == 404, name
    assert issue(recorded(world.pantry, now, "accepted", organization=organization("church"))) == (422, "business-rule")
    mark = {"url": words.REPORTED_ANSWER, "extension": [{"url": "by", "valueString": "me"},
            {"url": "at", "valueDateTime": AT}, {"url": "recorder", "valueReference": organization("clinic")},
            {"url": "channel", "valueCoding": {"system": words.REPORT_CHANNELS, "code": "phone"}}]}  # fmt: skip
    by_hand = moved(world.clinic, now, "accepted", owner=organization("church"), extension=[mark])
    assert issue(by_hand) == (422, "business-rule")
    assert report(sent(world, patient, "church", extension=[mark, parallel_reason()])) == {}


def test_who_has_a_system_answers_itself(world: Scene, patient: str):
    """No requester accepts for an organization that has a client of its own."""
    now = sent(world, patient, "pantry")
    assert issue(recorded(world.clinic, now, "accepted")) == (422, "business-rule")
    mixed = sent(world, patient, "pantry", "church")
    assert issue(recorded(world.clinic, mixed, "accepted")) == (422, "business-rule")
    for wrong in ("pantry", "hall", "clinic"):
        answer = recorded(world.clinic, mixed, "accepted", organization=organization(wrong))
        assert issue(answer) == (422, "business-rule"), wrong
    claimed = recorded(world.clinic, mixed, "accepted", organization=organization("church"))
    assert claimed.json()["owner"] == organization("church")
    assert world.pantry.get(f"Task/{mixed['id']}").status_code == 404


def test_the_plan_records_for_its_provider_of_community_supports(world: Scene, patient: str):
    """A reported no of the provider is no denial by the plan."""
    focus = made(world.plan, referral.request(patient, "plan", support=True))["id"]
    asked = made(world.plan, referral.task(patient, focus, "plan", "hall"))
    no = recorded(world.plan, asked, "rejected", reason="No cook").json()
    assert no["status"] == "rejected"
    assert [one for one in no["extension"] if one["url"] == words.AUTHORIZATION] == []


def test_the_mark_ends_with_the_first_own_answer(world: Scene, patient: str):
    """Once the organization has a system, what it says itself is not marked any more."""
    own = {"organization": "Organization/plan", "rights": "update-create"}
    setup = world.server.client("another-setup", **own)
    setup.put("Organization/chapel", {"resourceType": "Organization", "id": "chapel", "name": "Chapel"})
    now = recorded(world.clinic, sent(world, patient, "chapel"), "accepted").json()
    chapel = world.server.client("chapel", law_class="non-hipaa")
    begun = moved(chapel, now, "in-progress")
    assert begun.status_code == 200, begun.text
    assert report(begun.json()) == {}
    history = world.clinic.get(f"Task/{now['id']}/_history").json()["entry"]
    assert [bool(report(one["resource"])) for one in history] == [False, True, False]
