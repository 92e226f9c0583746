"""A death that is recorded: open Tasks end and say why, notices to the member stop, nobody else learns of it."""

from itertools import count
from typing import Any

import pytest

from fhir_server.ecm import deaths
from fhir_server.ecm import vocabulary as words
from tests.ecm.files.world import send
from tests.ecm.referral import made, organization, request, sent, task, walked
from tests.ecm.scene import Scene, as_csv, row
from tests.live import Client

NUMBERS = count(660_000, 20)


@pytest.fixture(scope="module")
def world(common_world: Scene) -> Scene:
    """The world that several files of tests have in common."""
    return common_world


def of(client: Client, referral: dict[str, Any]) -> tuple[str, str]:
    """Status and reason of a Task as a client reads it."""
    answer = client.get(f"Task/{referral['id']}")
    found = answer.json() if answer.status_code == 200 else {}
    return str(found.get("status", answer.status_code)), str(found.get("statusReason", {}).get("text", ""))


def test_open_tasks_end_with_the_member(world: Scene) -> None:
    """R3 1: whoever asked, open Tasks are cancelled; the requester and who served the member see why."""
    n = next(NUMBERS)
    send(world, as_csv([row(n), row(n + 1)]), "delta")
    patient, other = (world.member(world.plan, n + at) for at in (0, 1))
    asked = sent(world, patient["id"], "pantry")
    served = walked(world, sent(world, patient["id"], "kitchen"), ("kitchen", "accepted"), ("kitchen", "in-progress"))
    done = walked(
        world, sent(world, patient["id"], "kitchen"), *[("kitchen", one) for one in ("accepted", "completed")]
    )
    support = made(world.clinic, request(patient["id"], "clinic", support=True))["id"]
    supported = made(world.clinic, task(patient["id"], support, "clinic", "plan"))
    elsewhere = sent(world, other["id"], "pantry")
    step = made(world.plan, {
        "resourceType": "Task", "status": "requested", "intent": "order",
        "for": {"reference": f"Patient/{patient['id']}"},
        "code": {"coding": [{"system": words.STEPS, "code": "authorize"}]}, "authoredOn": "2026-11-01",
        "requester": organization("plan"), "owner": organization("plan"),
    })  # fmt: skip
    dead = {**patient, "deceasedDateTime": "2026-08-01"}
    assert world.plan.put(f"Patient/{patient['id']}", dead).status_code == 200
    assert of(world.clinic, served) == of(world.kitchen, served) == ("cancelled", deaths.REASON)
    assert of(world.clinic, asked) == of(world.clinic, supported) == ("cancelled", deaths.ASKED)
    assert world.clinic.get(f"Patient/{patient['id']}").json()["deceasedDateTime"] == "2026-08-01"
    assert of(world.plan, step) == ("cancelled", deaths.REASON)
    assert of(world.pantry, asked) == ("cancelled", deaths.ASKED)  # it had not accepted, and learns of no death
    assert world.pantry.get(f"Patient/{patient['id']}").status_code == 404
    assert (of(world.clinic, done)[0], of(world.clinic, elsewhere)[0]) == ("completed", "requested")
    told = world.plan.get(f"Communication?based-on=Task/{supported['id']}").json().get("entry", [])
    recipients = {one["resource"]["recipient"][0]["reference"] for one in told}
    assert f"Patient/{patient['id']}" not in recipients
    again = {**world.plan.get(f"Patient/{patient['id']}").json(), "deceasedDateTime": "2026-08-02"}
    assert world.plan.put(f"Patient/{patient['id']}", again).status_code == 200


def test_a_death_and_no_death(world: Scene) -> None:
    """`deceasedBoolean: false` ends nothing."""
    n = next(NUMBERS)
    send(world, as_csv([row(n)]), "delta")
    patient = world.member(world.plan, n)
    asked = sent(world, patient["id"], "pantry")
    assert world.plan.put(f"Patient/{patient['id']}", {**patient, "deceasedBoolean": False}).status_code == 200
    assert of(world.clinic, asked) == ("requested", "")
