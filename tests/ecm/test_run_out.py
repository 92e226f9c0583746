"""The run-out: a dropped member stays readable to the former provider for a while, as it was recorded in its time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from fhir_server.ecm.vocabulary import CHANGE_TYPE
from tests.ecm.files.world import call, job_of, seen, sees, send
from tests.ecm.scene import Scene, as_csv, cin, row, scene
from tests.ecm.test_rosters import deny

pytestmark = pytest.mark.heavy

DAYS = 30
DAY = 86_400_000
NUMBERS = count(700_000, 100)
PART2 = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "42CFRPart2"}]}


@pytest.fixture(scope="module")
def world(database_kind: str, module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """An exchange whose assignments run out for thirty days; its clock runs ahead as the tests go on."""
    with scene(module_database_url, tmp_path_factory.mktemp("running-out"), run_out_days=DAYS) as found:
        yield found


def today(world: Scene, ahead: int = 0) -> str:
    """The exchange's day, or so many days after it."""
    now = datetime.fromtimestamp(world.server.engine.clock() / 1000, ZoneInfo("America/Los_Angeles"))
    return (now + timedelta(days=ahead)).date().isoformat()


def assign(world: Scene, number: int, provider: str = "clinic", **cells: str) -> str:
    """The job of a file that assigns a member."""
    return send(world, as_csv([row(number, provider, **cells)]), "delta")[0]


def tell(world: Scene, patient: str, day: str, by: str = "plan", **more: Any) -> str:
    """An Observation of this day about a patient; its reference."""
    about = {"subject": {"reference": f"Patient/{patient}"}, "effectiveDateTime": day}
    resource = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **about, **more}
    answer = world.clients[by].post("Observation", resource)
    assert answer.status_code == 201, answer.text
    return f"Observation/{answer.json()['id']}"


def status(world: Scene, name: str, reference: str) -> int:
    return world.clients[name].get(reference).status_code


def test_what_a_former_provider_reads(world: Scene) -> None:
    """R3 1, line 24 with a run-out: read only, of the assigned time, not what is labelled, until it is over."""
    number = next(NUMBERS)
    assign(world, number)
    patient = world.member(world.clinic, number)["id"]
    then, before = tell(world, patient, "2026-03-01"), tell(world, patient, "2025-03-01")
    later = tell(world, patient, "2126-03-01")
    labelled = tell(world, patient, "2026-03-01", meta=PART2)
    own = tell(world, patient, "2025-03-01", by="clinic")
    seen_then = [status(world, "clinic", one) for one in (then, before, later, labelled, own)]
    assert seen_then == [200, 200, 200, 404, 200]
    world.move_clock(1)
    assign(world, number, "street")
    after = tell(world, patient, "2026-03-01")
    seen_now = [
        status(world, "clinic", one) for one in (f"Patient/{patient}", then, before, later, labelled, after, own)
    ]
    assert seen_now == [200, 200, 404, 404, 404, 404, 200]
    assert status(world, "clinic", f"{then}/_history/1") == 200
    found = world.clinic.get(f"Observation?patient={patient}").json()["entry"]
    assert {f"Observation/{one['resource']['id']}" for one in found} == {then, own}
    assert seen(world, [number], "clinic", "street", "shelter") == {
        "clinic": [number],
        "street": [number],
        "shelter": [],
    }
    world.move_clock(DAYS * DAY - 60_000)
    assert status(world, "clinic", then) == 200
    world.move_clock(61_000)
    assert [status(world, "clinic", one) for one in (f"Patient/{patient}", then, own)] == [404, 404, 200]
    assert status(world, "street", f"Patient/{patient}") == 200


def test_nothing_new_is_written_in_a_run_out(world: Scene) -> None:
    """Read only: no record about the member, none changed, none passed on; its own it may still put right."""
    number = next(NUMBERS)
    assign(world, number)
    patient = world.member(world.clinic, number)["id"]
    then, own = tell(world, patient, "2026-03-01"), tell(world, patient, "2026-03-01", by="clinic")
    world.move_clock(1)
    assign(world, number, "street")
    about = {"reference": f"Patient/{patient}"}
    new = {"resourceType": "Condition", "subject": about, "code": {"text": "x"}}
    assert world.clinic.post("Condition", new).status_code == 422
    assert world.clinic.post("Consent", deny(patient, "clinic")).status_code == 422
    stored = world.clinic.get(then).json()
    refused = world.clinic.put(then, {**stored, "status": "amended"})
    assert refused.status_code == 422
    assert "Only the organization that wrote this" in refused.text
    task = {"resourceType": "Task", "status": "requested", "intent": "order", "for": about}
    task |= {"requester": {"reference": "Organization/clinic"}, "owner": {"reference": "Organization/pantry"}}
    assert world.clinic.post("Task", task).status_code == 422
    mine = world.clinic.get(own).json()
    assert world.clinic.put(own, {**mine, "status": "amended"}).status_code == 200


def test_a_denial_ends_the_run_out(world: Scene) -> None:
    """R6: what the member denies is hidden from the former provider too."""
    number = next(NUMBERS)
    assign(world, number)
    patient = world.member(world.clinic, number)["id"]
    world.move_clock(1)
    assign(world, number, "street")
    assert sees(world.clinic, number)
    assert world.plan.post("Consent", deny(patient, "plan")).status_code == 201
    assert not sees(world.clinic, number)


def test_what_is_said_anew_is_not_shown(world: Scene) -> None:
    """Limited to the assigned time: a telephone number that came with the move is for the new provider alone."""
    number = next(NUMBERS)
    assign(world, number)
    patient = world.member(world.clinic, number)["id"]
    world.move_clock(1)
    assign(world, number, "street", Phone="619-555-0177")
    assert status(world, "clinic", f"Patient/{patient}") == 404
    assert "0177" in world.street.get(f"Patient/{patient}").text


def test_the_last_return_file_holds_who_left(world: Scene) -> None:
    """What a run-out is for: the former provider still reports on the member, who is `dropped` in its roster."""
    number = next(NUMBERS)
    assign(world, number)
    group = world.roster(world.clinic)
    path, since = f"Group/{group['id']}", group["meta"]["versionId"]
    patient = world.member(world.clinic, number)["id"]
    world.move_clock(1)
    assign(world, number, "street")
    file = f"{path}/$export-return-file?period={today(world)[:7]}"
    assert cin(number) in world.clinic.get(file).text
    entries = world.clinic.get(f"{path}/$changes-since?version={since}").json()["member"]
    (left,) = [one for one in entries if one["entity"]["reference"] == f"Patient/{patient}"]
    assert left["inactive"]
    assert {"url": CHANGE_TYPE, "valueCode": "dropped"} in left["extension"]
    world.move_clock(DAYS * DAY)
    assert cin(number) not in world.clinic.get(file).text


def test_access_opened_by_mistake_has_no_run_out(world: Scene) -> None:
    """A recalled file: no run-out for whom it alone brought, even where a later file had ended that before."""
    a, b, c = next(NUMBERS), next(NUMBERS), next(NUMBERS)
    job = assign(world, a)
    call(world, "recall-file", job)
    assert not sees(world.clinic, a)
    job = assign(world, b)
    world.move_clock(1)
    assign(world, b, "street")
    assert sees(world.clinic, b)
    call(world, "recall-file", job)
    assert seen(world, [b], "clinic", "street") == {"clinic": [], "street": [b]}
    assign(world, c)
    again = send(world, as_csv([row(c)]), "correction")[0]  # a second file says the same
    world.move_clock(1)
    assign(world, c, "street")
    call(world, "recall-file", again)
    assert seen(world, [c], "clinic", "street") == {"clinic": [c], "street": [c]}


def test_an_end_in_retrospect_runs_out_from_when_it_was_said(world: Scene) -> None:
    """Effective and recorded time: what the provider saw meanwhile was so; the assigned time alone stays readable."""
    number = next(NUMBERS)
    assign(world, number, **{"Assignment Date": today(world)})
    patient = world.member(world.clinic, number)["id"]
    first = tell(world, patient, today(world))
    world.move_clock(40 * DAY)
    between = tell(world, patient, today(world, -20))
    assert [status(world, "clinic", one) for one in (first, between)] == [200, 200]
    ends = {"Assignment Date": today(world, -40), "Authorization End Date": today(world, -35)}
    send(world, as_csv([row(number, **ends)]), "correction")
    assert [status(world, "clinic", one) for one in (first, between)] == [200, 404]
    world.move_clock(DAYS * DAY + 1)
    assert status(world, "clinic", first) == 404
    send(world, as_csv([row(number, **{"Assignment Date": today(world, -70)})]), "correction")
    assert [status(world, "clinic", one) for one in (first, between)] == [200, 200]  # reinstated, from the start


# ---- the law ------------------------------------------------------------------------------------------------------

PROVIDERS = ("clinic", "street")
MEMBERS = range(2)
WORLDS = count(1)
PLACES = st.dictionaries(st.sampled_from(MEMBERS), st.sampled_from(PROVIDERS), min_size=1)


class Interleavings(RuleBasedStateMachine):
    """Files sent and recalled, days that pass: who is not assigned sees a member within the run-out, or not at all."""

    world: Scene

    @initialize()
    def begin(self) -> None:
        self.first = 2_000_000 + next(WORLDS) * 10
        self.files: list[tuple[str, bool, dict[int, str]]] = []
        self.left: dict[tuple[int, str], int] = {}  # when a member left a provider last
        self.told: dict[int, str] = {}
        for job in reversed(getattr(type(self), "jobs", [])):
            call(self.world, "recall-file", job)
        type(self).jobs = []

    def settle(self) -> None:
        """Note who left since the last file: the model's own reading of the files in force, in their order."""
        state: dict[int, str] = {}
        for _, full, says in self.files:
            if full:
                state = {who: where for who, where in state.items() if where not in says.values() or who in says}
            state |= says
        for who, where in self.told.items():
            if state.get(who) != where:
                self.left[who, where] = self.world.server.engine.clock()
        self.told = state

    @rule(places=PLACES, mode=st.sampled_from(["full", "delta"]))
    def send(self, places: dict[int, str], mode: str) -> None:
        self.world.move_clock(1)
        open_end = {"Authorization End Date": ""}  # the days that pass are many
        rows = [row(self.first + who, where, **open_end) for who, where in sorted(places.items())]
        asked = self.world.kick_off(self.world.plan, as_csv(rows), mode)
        assert asked.status_code == 202, asked.text
        self.world.work()
        self.files.append((job_of(asked), mode == "full", dict(places)))
        type(self).jobs.append(job_of(asked))
        self.settle()

    @rule(at=st.integers(0, 5))
    def recall(self, at: int) -> None:
        if self.files:
            job, _, _ = self.files.pop(at % len(self.files))
            assert call(self.world, "recall-file", job).status_code == 200
            type(self).jobs.remove(job)
            self.settle()

    @rule(days=st.sampled_from([1, DAYS - 1, DAYS]))
    def wait(self, days: int) -> None:
        self.world.move_clock(days * DAY)

    @invariant()
    def who_is_not_assigned_sees_within_the_run_out_alone(self) -> None:
        if not hasattr(self, "files"):
            return
        now = self.world.server.engine.clock()
        found = seen(self.world, [self.first + who for who in MEMBERS], *PROVIDERS)
        for who in MEMBERS:
            for name in PROVIDERS:
                shown = self.first + who in found[name]
                if self.told.get(who) == name:
                    assert shown, (who, name)
                elif shown:
                    assert any(says.get(who) == name for _, _, says in self.files), "opened by mistake"
                    assert now < self.left[who, name] + DAYS * DAY, "after the run-out"


def test_no_interleaving_shows_a_member_after_the_run_out(world: Scene) -> None:
    """R3, "What it must show" 3: nor one whom no file in force assigned to the organization."""
    machine = type("Played", (Interleavings,), {"world": world, "jobs": []})
    quick = settings(max_examples=3, stateful_step_count=5, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=quick)


@pytest.mark.long
def test_many_interleavings(world: Scene) -> None:
    """Many longer ones."""
    machine = type("Played", (Interleavings,), {"world": world, "jobs": []})
    long = settings(max_examples=30, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=long)
