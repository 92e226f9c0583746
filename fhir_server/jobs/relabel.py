"""The job behind $relabel: labels of all that is stored, by the code lists and law classes there are now.

It walks over all resources until a walk has found nothing to do. A worker that dies is continued from the last chunk.
"""

import time
from typing import Any

from fhir_server.engine import relabelling, repository
from fhir_server.engine.context import Transaction
from fhir_server.engine.walking import Place
from fhir_server.fhir.definitions import type_names
from fhir_server.jobs.job import Job, Run
from fhir_server.jobs.turns import await_turn

KIND = "relabel"

_PAUSE_SECONDS = 0.1
_SAVED_EVERY = 20  # chunks of 100 in which there was nothing to do


def work(run: Run) -> None:
    """Add labels until none is missing; the result says how many resources were looked at and labelled."""
    await_turn(run)
    cursor = run.cursor or {"place": list(Place()), "looked": 0, "labelled": 0, "found": 0}
    while True:
        cursor = _walk(run, cursor)
        if not cursor["found"]:
            break
        cursor = {**cursor, "found": 0}
        _await_writers(run)  # a write that began before may have stored what it had read then
    run.context().transact(lambda open_: _finish(open_, run, cursor))


def _walk(run: Run, cursor: dict[str, Any]) -> dict[str, Any]:
    """From the place of the cursor to the end."""
    place: Place | None = Place(*cursor["place"])
    chunks = 0
    while place is not None:
        findings, after = relabelling.look(run.context(), place)
        cursor = {**cursor, "place": list(after or Place()), "looked": cursor["looked"] + len(findings)}
        due = [one for one in findings if one.is_due]
        chunks += 1
        if due or chunks % _SAVED_EVERY == 0:
            cursor = _stored(run, cursor, due, place)
        place = after
    return cursor


def _stored(run: Run, cursor: dict[str, Any], due: list[relabelling.Finding], place: Place) -> dict[str, Any]:
    def store(open_: Transaction) -> dict[str, Any]:
        number = relabelling.raise_labels(open_, due)
        moved = {**cursor, "labelled": cursor["labelled"] + number, "found": cursor["found"] + number}
        type_ = type_names()[place.type] if place.type >= 0 else "the next owner"
        run.save(open_, moved, f"{moved['labelled']} of {moved['looked']} resources labelled, now {type_}")
        return moved

    return run.context().transact(store)


def _await_writers(run: Run) -> None:
    now = run.engine.clock()
    while repository.settled(run.context(), run.engine.clock()) <= now:
        time.sleep(_PAUSE_SECONDS)


def _finish(open_: Transaction, run: Run, cursor: dict[str, Any]) -> None:
    open_.audit("relabel", 200, [])
    run.finish(open_, {"looked": cursor["looked"], "labelled": cursor["labelled"]})


JOB = Job(KIND, work)
