"""A family of four referred together: one story for who sent it, and for each who serves it no more than its part."""

from itertools import count
from typing import Any

import pytest

from tests.ecm.files.world import send
from tests.ecm.referral import made, request, task, walked
from tests.ecm.scene import Scene, as_csv, row
from tests.live import Client

NUMBERS = count(690_000, 20)
SYSTEM = "https://example.org/family"


@pytest.fixture(scope="module")
def world(common_world: Scene) -> Scene:
    """The world that several files of tests have in common."""
    return common_world


def story(client: Client, number: str, **more: str) -> Any:
    tail = "".join(f"&{name}={value}" for name, value in more.items())
    return client.get(f"ServiceRequest/$family-story?requisition={SYSTEM}|{number}{tail}")


def told(answer: Any) -> list[tuple[str, str]]:
    """(patient, status of the first attempt) of each referral."""
    found = []
    for referral in answer.json()["parameter"]:
        parts = {one["name"]: one for one in referral["part"]}
        status = next(one["valueCode"] for one in parts["attempt"]["part"] if one["name"] == "status")
        found.append((parts["patient"]["valueReference"]["reference"], status))
    return sorted(found)


def test_a_family_of_four(world: Scene) -> None:
    """R3 1: the clinic follows all, each organization the members that it was asked to serve; nobody sees another."""
    n = next(NUMBERS)
    send(world, as_csv([row(n + at) for at in range(4)]), "delta")
    family = [str(world.member(world.plan, n + at)["id"]) for at in range(4)]
    shared = {"requisition": {"system": SYSTEM, "value": f"F{n}"}}
    sent = []
    for at, patient in enumerate(family):
        focus = made(world.clinic, request(patient, "clinic", **shared))["id"]
        sent.append(made(world.clinic, task(patient, focus, "clinic", "pantry" if at < 2 else "kitchen")))
    walked(world, sent[0], ("pantry", "accepted"))
    everybody = told(story(world.clinic, f"F{n}"))
    assert everybody == sorted(
        (f"Patient/{patient}", "accepted" if at == 0 else "requested") for at, patient in enumerate(family)
    )
    assert told(story(world.plan, f"F{n}")) == everybody
    for who, members in (("pantry", family[:2]), ("kitchen", family[2:])):
        answer = story(world.clients[who], f"F{n}")
        assert [patient for patient, _ in told(answer)] == sorted(f"Patient/{one}" for one in members)
        assert not any(one in answer.text for one in set(family) - set(members))
        hidden = next(one for one in family if one not in members)
        assert world.clients[who].get(f"Patient/{hidden}").status_code == 404
    nobody, absent = story(world.stranger, f"F{n}"), story(world.stranger, "none")
    assert (nobody.status_code, absent.status_code) == (404, 404)
    assert nobody.json()["issue"] == absent.json()["issue"]


def test_a_number_used_twice(world: Scene) -> None:
    """Who takes another's requisition does not enter its story: the requester is named."""
    n = next(NUMBERS)
    send(world, as_csv([row(n), row(n + 1, "street")]), "delta")
    shared = {"requisition": {"system": SYSTEM, "value": f"F{n}"}}
    for who, at in (("clinic", 0), ("street", 1)):
        patient = world.member(world.plan, n + at)["id"]
        focus = made(world.clients[who], request(patient, who, **shared))["id"]
        made(world.clients[who], task(patient, focus, who, "pantry"))
    assert story(world.pantry, f"F{n}").status_code == 422
    one = story(world.pantry, f"F{n}", requester="Organization/clinic")
    assert len(told(one)) == 1
