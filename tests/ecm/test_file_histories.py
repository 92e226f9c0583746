"""Any interleaving of full, delta, correction and recall, with workers that die, ends as the same files in order.

What a step of the plan ends with is a word among theirs, which no recall undoes. R3, "What it must show" 3. The model
knows files, steps and members only; the server is asked over HTTP.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fhir_server.jobs.worker import Worker
from tests.ecm.files.world import call, job_of, seen
from tests.ecm.scene import Killed, Scene, as_csv, row
from tests.ecm.test_import_jobs import LEASE, Stopper
from tests.ecm.test_outcomes import WHY, output
from tests.ecm.test_requests import begun, ended

PROVIDERS = ("clinic", "street")
MEMBERS = range(3)
WORLDS = count(1)
MODES = ["full", "delta", "correction"]
PLACES = st.dictionaries(st.sampled_from(MEMBERS), st.sampled_from(PROVIDERS), min_size=1)


@dataclass
class File:
    """What a file says: who belongs to whom, and whether the members of its providers whom it leaves out are gone."""

    job: str
    full: bool
    says: dict[int, tuple[str, str]] = field(default_factory=dict)  # member -> (provider, telephone)
    gone: int | None = None  # whom a step discontinued


def told(files: list[File]) -> dict[int, tuple[str, str]]:
    """Who belongs to whom after these files, in their order."""
    state: dict[int, tuple[str, str]] = {}
    for file in files:
        covered = {provider for provider, _ in file.says.values()}
        if file.full:
            state = {who: where for who, where in state.items() if where[0] not in covered or who in file.says}
        state |= file.says
        state = {who: where for who, where in state.items() if who != file.gone}
    return state


def die_after_a_write(world: Scene) -> None:
    """A worker that is killed once it has stored a Patient; one that stores none lives."""
    stopper = Stopper(1)
    world.server.engine.hooks.after_commit.append(stopper.after)
    try:
        with suppress(Killed):
            Worker(world.server.engine).work_once()
    finally:
        world.server.engine.hooks.after_commit.remove(stopper.after)


class Histories(RuleBasedStateMachine):
    """Files of one plan, sent and recalled in any order."""

    world: Scene

    @initialize()
    def begin(self) -> None:
        self.first = 1_000_000 + next(WORLDS) * 10
        self.files: list[File] = []
        self.forget()

    def forget(self) -> None:
        """Empty the rosters by recalling whatever an earlier history left in force."""
        for job in reversed(getattr(type(self), "left", [])):
            call(self.world, "recall-file", job)
        type(self).left = []

    @rule(places=PLACES, phone=st.sampled_from("1112"), mode=st.sampled_from(MODES), dies=st.booleans())
    def send(self, places: dict[int, str], phone: str, mode: str, dies: bool) -> None:
        number = f"619-555-010{phone}"
        rows = [row(self.first + who, where, Phone=number) for who, where in sorted(places.items())]
        asked = self.world.kick_off(self.world.plan, as_csv(rows), mode)
        assert asked.status_code == 202, asked.text
        if dies:
            die_after_a_write(self.world)
            self.world.move_clock(LEASE)
        self.world.work()
        state: Any = self.world.plan.get(asked.headers["Content-Location"]).json()
        assert state["state"] == "in-force", state
        says = {who: (where, number.replace("-", "")) for who, where in places.items()}
        self.files.append(File(job_of(asked), mode == "full", says))
        type(self).left.append(job_of(asked))

    @rule(at=st.integers(0, 5))
    def recall(self, at: int) -> None:
        files = [file for file in self.files if file.job]
        if not files:
            return
        file = files[at % len(files)]
        self.files.remove(file)
        answer = call(self.world, "recall-file", file.job)
        assert answer.status_code == 200, answer.text
        type(self).left.remove(file.job)

    @precondition(lambda self: told(self.files))
    @rule(at=st.integers(0, 5), where=st.sampled_from([None, *PROVIDERS]))
    def step(self, at: int, where: str | None) -> None:
        """The plan changes the provider of a member, or discontinues."""
        places = sorted(told(self.files).items())
        who, standing = places[at % len(places)]
        patient = self.world.member(self.world.plan, self.first + who)["id"]
        task = begun(self.world.plan, patient, "plan", "change-provider" if where else "discontinue").json()
        if where:
            done = ended(self.world.plan, task, "changed", output=output(where))
            self.files.append(File("", full=False, says={who: (where, standing[1])}))
        else:
            done = ended(self.world.plan, task, "discontinued", **WHY)
            self.files.append(File("", full=False, gone=who))
        assert done.status_code == 200, done.text

    @invariant()
    def rosters_are_those_of_the_files_in_order(self) -> None:
        if not hasattr(self, "files"):
            return
        wanted = told(self.files)
        found = seen(self.world, [self.first + who for who in MEMBERS], *PROVIDERS)
        for provider in PROVIDERS:
            assert found[provider] == [self.first + who for who in MEMBERS if wanted.get(who, ("",))[0] == provider]
        for who, (_, phone) in wanted.items():
            assert self.world.member(self.world.plan, self.first + who)["telecom"][0]["value"] == phone


@pytest.fixture(scope="module")
def machine(world: Scene) -> type[Histories]:
    """The machine over the world of this database."""
    return type("Played", (Histories,), {"world": world, "left": []})


QUICK = settings(max_examples=2, stateful_step_count=5, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=30, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck))


def test_some_histories(machine: type[Histories]) -> None:
    """A few short ones with every run of the tests."""
    run_state_machine_as_test(machine, settings=QUICK)


@pytest.mark.long
def test_many_histories(machine: type[Histories]) -> None:
    """Many longer ones."""
    run_state_machine_as_test(machine, settings=LONG)
