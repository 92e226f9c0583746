"""One file undone in one transaction: the rosters become what the other files, in their order, say.

What later files said stays, access that the recalled file alone had opened is closed, and what others wrote meanwhile
is left as it is. The result tells who read which members while the file was in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import orjson

from fhir_server.ecm import merging
from fhir_server.ecm.directory import Provider
from fhir_server.ecm.files.assignments import importing, parking, readers
from fhir_server.ecm.files.assignments.judging import CHUNK, Entry
from fhir_server.ecm.files.formats import FORMATS
from fhir_server.ecm.rosters import publishing
from fhir_server.ecm.rosters.assignment import load
from fhir_server.ecm.rosters.drafting import Source
from fhir_server.ecm.rosters.enrolling import enrol
from fhir_server.ecm.rosters.known import Enrolment
from fhir_server.ecm.rosters.publishing import RECALLING
from fhir_server.ecm.rosters.replaying import Replay
from fhir_server.engine import access_rows
from fhir_server.engine.context import Transaction
from fhir_server.fhir.errors import BusinessRule
from fhir_server.fhir.values import instant
from fhir_server.jobs import files
from fhir_server.jobs.job import Run
from fhir_server.store import loads
from fhir_server.store.loads import Load
from fhir_server.store.members import Member

T = TypeVar("T")


@dataclass
class _Undoing:
    """What a recall changes. rosters: provider id -> Group id; touched: Groups to publish."""

    restored: int = 0
    closed: int = 0
    rosters: dict[str, str] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)


def recall(run: Run) -> None:
    """Undo the file that the job's arguments name; BusinessRule if it is not in force."""
    context, load_id = run.context(), run.arguments["load"]
    found = loads.find(context.connection, context.caller.org_hash, load_id)
    if found is None or (found.state != loads.IN_FORCE and not run.cursor):
        raise BusinessRule("This file is not in force any more. Nothing was changed.")
    if not run.cursor:
        opened = Replay(context, load_id).opened()
        done = context.transact(lambda transaction: _undo(transaction, run, found))
    else:
        opened, done = {}, _Undoing(**{**run.cursor["done"], "touched": set()})
    since = int(run.cursor.get("since", found.at))
    _finish(run, done, since, opened)


def _undo(transaction: Transaction, run: Run, found: Load) -> _Undoing:
    transaction.marks.add(RECALLING)
    replay = Replay(transaction.context, found.id)
    done = _Undoing()
    away = merging.merged_away(transaction.context)  # they go on as another's former numbers, until an unmerge
    verdicts = [one for one in replay.verdicts() if one.key not in away]
    back = (Entry(0, load(one.wanted.row), _provider(one.wanted)) for one in verdicts if one.wanted)
    source = Source(orjson.loads(found.arguments)["sha256"], instant(transaction.context.now))
    for entries in _some(back):
        _restore(enrol(transaction, source, entries, done.rosters), done)
    again = {one.wanted.patient for one in verdicts if one.wanted}  # under another number, it may be
    gone = [one.current for one in verdicts if one.current and one.wanted is None and one.current.patient not in again]
    for group in sorted({row.grp for row in gone}):
        for rows in _some(row for row in gone if row.grp == group):
            publishing.drop(transaction, replay.rosters[group], rows)
            done.closed += len(rows)
        done.touched.add(replay.rosters[group])
    for group, patients in replay.mistaken().items():
        access_rows.end_run_outs(transaction, group, patients)
    _publish(transaction, found, done)
    return _note(transaction, run, found, done)


def _restore(made: Enrolment, done: _Undoing) -> None:
    done.restored += made.new + made.changed
    done.closed += made.moved
    done.rosters |= made.rosters
    done.touched |= made.touched


def _publish(transaction: Transaction, found: Load, done: _Undoing) -> None:
    """The new versions of the rosters belong to the recalled file: what they say is never taken for a word of it."""
    published = {fid: publishing.publish(transaction, fid) for fid in sorted(done.touched)}
    importing.stand(transaction, found.id, {}, published)


def _note(transaction: Transaction, run: Run, found: Load, done: _Undoing) -> _Undoing:
    loads.move(transaction.connection, found.id, loads.IN_FORCE, loads.RECALLED, transaction.context.now)
    parking.recall(transaction, found)
    transaction.audit("import-recalled", 200, transaction.changes)
    kept = {"restored": done.restored, "closed": done.closed, "rosters": done.rosters}
    run.save(transaction, {"done": kept, "since": found.at}, "recalled")
    return done


def _provider(row: Member) -> Provider:
    return Provider(row.provider_fid, row.provider_fid)


def _some(items: Iterable[T]) -> Iterator[list[T]]:
    left = iter(items)
    while found := list(islice(left, CHUNK)):
        yield found


def _finish(run: Run, done: _Undoing, since: int, opened: dict[int, Member]) -> None:
    """Write who read what, and end the job."""
    context, form = run.context(), FORMATS["csv"]
    rows: Sequence[tuple[str, ...]] = list(readers.rows(context, since, opened))
    name = f"readers.{form.suffix}"
    files.keep(run.engine, run.caller.org_hash, run.id, name, form.media_types[0], form.write([readers.HEADER, *rows]))
    output: list[dict[str, Any]] = [{"type": "readers", "name": name, "count": len(rows)}]
    summary = {"restored": done.restored, "closed": done.closed, "opened": len(opened)}
    result = {"state": loads.RECALLED, "file": run.arguments["load"], "summary": summary, "output": output}
    context.transact(lambda transaction: run.finish(transaction, result))
