"""Effective and recorded time: who saw what then is explained from what was recorded by then, whatever came after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.engine.explaining import Sight, who_could_see
from fhir_server.fhir.errors import NotFound
from tests.ecm.files.world import call, send
from tests.ecm.referral import moved, sent
from tests.ecm.scene import Scene, as_csv, row, scene
from tests.ecm.test_rosters import deny
from tests.ecm.test_run_out import DAY, DAYS, tell, today

pytestmark = pytest.mark.heavy

WATCHERS = ("plan", "other-plan", "clinic", "street", "pantry", "stranger")
NUMBER = 800_000


@pytest.fixture(scope="module")
def world(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(module_database_url, tmp_path_factory.mktemp("then"), run_out_days=DAYS) as found:
        yield found


class Diary:
    """Who saw what, asked over HTTP as it happened, with the instant."""

    def __init__(self, world: Scene) -> None:
        self.world = world
        self.entries: list[tuple[str, int, set[str]]] = []

    def note(self, *references: str) -> None:
        """Ask everybody for these resources, and let a moment pass before and after."""
        self.world.move_clock(2)
        for reference in references:
            seen = {name for name in WATCHERS if self.world.clients[name].get(reference).status_code == 200}
            self.entries.append((reference, self.world.server.engine.clock(), seen))
        self.world.move_clock(2)


def explained(world: Scene, reference: str, at: int) -> list[Sight]:
    engine = world.server.engine
    return who_could_see(engine.database.read(), engine.settings, reference, at)


def test_what_was_visible_then_is_explained_as_it_was(world: Scene) -> None:
    """R3 1, "Time": moves, ends and reinstatements in retrospect, recalls, consents, referrals rewrite nothing."""
    diary = Diary(world)
    send(world, as_csv([row(NUMBER)]), "delta")
    patient = f"Patient/{world.member(world.clinic, NUMBER)['id']}"
    told = tell(world, patient.partition("/")[2], today(world))
    diary.note(patient, told)
    send(world, as_csv([row(NUMBER, "street", Phone="619-555-0133")]), "delta")
    diary.note(patient, told)
    world.move_clock((DAYS + 1) * DAY)
    diary.note(patient, told)
    ended = {"Authorization End Date": today(world, -40)}
    send(world, as_csv([row(NUMBER, "street", **ended)]), "correction")  # an end in retrospect
    diary.note(patient, told)
    job, _ = send(world, as_csv([row(NUMBER, "clinic")]), "correction")  # assigned anew, from January on
    diary.note(patient, told)
    task = sent(world, patient.partition("/")[2], "pantry", by="plan")
    asked = task["focus"]["reference"]
    diary.note(patient, asked)
    assert moved(world.pantry, task, "rejected").status_code == 200
    diary.note(patient, asked)
    consent = world.clinic.post("Consent", deny(patient.partition("/")[2], "clinic")).json()
    diary.note(patient, told)
    headers = {"If-Match": consent["meta"]["versionId"].join(('W/"', '"'))}
    stopped = world.clinic.put(f"Consent/{consent['id']}", {**consent, "status": "inactive"}, headers=headers)
    assert stopped.status_code == 200, stopped.text
    diary.note(patient, told)
    call(world, "recall-file", job)
    diary.note(patient, told)
    for reference, at, seen in diary.entries:
        found = {one.organization.partition("/")[2] for one in explained(world, reference, at)}
        assert found & set(WATCHERS) == seen, (reference, at)
    assert {frozenset(seen) for _, _, seen in diary.entries} >= {
        frozenset({"plan", "clinic"}), frozenset({"plan", "street"}), frozenset({"plan", "clinic", "street"}),
    }  # fmt: skip


def test_why(world: Scene) -> None:
    """The rule and the resources that gave the right; an operator and strangers are not named."""
    number = NUMBER + 1
    send(world, as_csv([row(number)]), "delta")
    patient = f"Patient/{world.member(world.clinic, number)['id']}"
    world.move_clock(2)
    before = world.server.engine.clock()
    group = world.roster(world.clinic)["id"]
    found = {one.organization: one for one in explained(world, patient, before)}
    assert {name: one.rule for name, one in found.items()} == {"Organization/plan": "R3", "Organization/clinic": "R4"}
    assert f"Group/{group}" in found["Organization/clinic"].because
    world.move_clock(2)
    send(world, as_csv([row(number, "street")]), "delta")
    world.move_clock(2)
    after = {one.organization: one.rule for one in explained(world, patient, world.server.engine.clock())}
    assert after == {"Organization/plan": "R3", "Organization/clinic": "run-out", "Organization/street": "R4"}
    again: Any = {one.organization: one for one in explained(world, patient, before)}
    assert again == found
    with pytest.raises(NotFound):
        explained(world, patient, 1)
