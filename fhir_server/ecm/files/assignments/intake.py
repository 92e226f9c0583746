"""The job of assignment files: taking one in, recalling one, resolving parked rows; those of one plan take turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fhir_server.ecm.files.assignments import importing, recalling, resolving
from fhir_server.jobs.job import Job, Run
from fhir_server.jobs.turns import await_turn

KIND = "import-assignments"
RIGHT = "assign"  # of a client, to send assignment files
TAKE_IN, RECALL, RESOLVE = "take-in", "recall", "resolve"

_TASKS: Mapping[str, Callable[[Run], None]] = {
    TAKE_IN: importing.take_in,
    RECALL: recalling.recall,
    RESOLVE: resolving.resolve,
}


def work(run: Run) -> None:
    """Do what the job's arguments ask for; Later while another job of the plan runs."""
    await_turn(run)
    _TASKS[run.arguments.get("task", TAKE_IN)](run)


JOB = Job(KIND, work)
