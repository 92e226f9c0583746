"""The job that takes in an assignment file: rows to members, chunk by chunk, each chunk durable with its cursor.

The last steps drop who is absent from a full file, publish the rosters' next version and write the response file. At
every try the file is read from its start; rows before the cursor are only remembered as named. Files of one plan are
taken in one after another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.files import layouts, publishing, response
from fhir_server.ecm.files.enrolling import Enrolment, Source, enrol
from fhir_server.ecm.files.formats import FORMATS
from fhir_server.ecm.files.judging import Reading, Refusal, Result, judged, settled
from fhir_server.ecm.files.layouts.binding import Bound, bind
from fhir_server.ecm.files.layouts.column import Layout
from fhir_server.engine.context import Context
from fhir_server.engine.transaction import Transaction
from fhir_server.jobs import files
from fhir_server.jobs.job import Job, Run
from fhir_server.jobs.turns import await_turn

KIND = "import-assignments"

_AFTER_ALL = 2**31 - 1  # the cursor's row once every row has been taken in


@dataclass
class Tally:
    """What became of the rows so far; it is kept in the job's cursor.

    rosters: provider id -> Group id; touched: Groups to publish; refused: "fact|code|advice" -> row numbers.
    """

    rows: int = 0
    accepted: int = 0
    warnings: int = 0
    rejected: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    dropped: int = 0
    rosters: dict[str, str] = field(default_factory=dict)
    touched: list[str] = field(default_factory=list)
    refused: dict[str, list[int]] = field(default_factory=dict)

    def copy(self) -> Tally:
        """One that can be changed while this one stays, because a transaction may be run again."""
        refused = {reason: list(rows) for reason, rows in self.refused.items()}
        return Tally(**{**vars(self), "rosters": dict(self.rosters), "touched": list(self.touched), "refused": refused})

    def count(self, results: Sequence[Result]) -> None:
        """Count rows by their outcome."""
        self.rows += len(results)
        self.accepted += sum(one.outcome == words.ACCEPTED for one in results)
        self.warnings += sum(one.outcome == words.ACCEPTED_WITH_WARNINGS for one in results)
        self.rejected += sum(one.outcome == words.REJECTED for one in results)

    def add(self, enrolment: Enrolment) -> None:
        """Count what a chunk changed."""
        self.new += enrolment.new
        self.changed += enrolment.changed
        self.unchanged += enrolment.unchanged
        self.dropped += enrolment.moved
        self.rosters |= enrolment.rosters
        self.touch(enrolment.touched)
        for row, refusal in enrolment.refused.items():
            self.refused.setdefault("|".join(refusal), []).append(row)

    def touch(self, groups: set[str]) -> None:
        """Remember Groups whose members changed."""
        self.touched = sorted({*self.touched, *groups})

    @property
    def refusals(self) -> dict[int, Refusal]:
        """Row number -> why the server could not store the row."""
        found: dict[int, Refusal] = {}
        for reason, rows in self.refused.items():
            fact, code, advice = reason.split("|", 2)
            found.update(dict.fromkeys(rows, (fact, code, advice)))
        return found

    @property
    def summary(self) -> dict[str, int]:
        """The numbers alone."""
        return {name: value for name, value in vars(self).items() if isinstance(value, int)}


@dataclass
class _Import:
    """One try at one file: where it stands in the file, and what became of it so far."""

    run: Run
    reading: Reading
    row: int
    tally: Tally

    def transact(self, work: Any, row: int, progress: str) -> None:
        """Do `work(transaction, tally)` and store the new cursor with it; the tally is kept when both are durable."""

        def together(transaction: Transaction) -> Tally:
            after = self.tally.copy()
            work(transaction, after)
            if transaction.changes:
                transaction.audit("import", 200, transaction.changes)
            self.run.save(transaction, {"row": row, "tally": asdict(after)}, progress.format(**after.summary))
            return after

        self.tally, self.row = self.run.context().transact(together), row


def known_layouts(context: Context) -> Mapping[str, Layout]:
    """The file layouts by id, those of the deployment's own folder included."""
    own = context.engine.settings.layouts_folder
    return layouts.load([Path(own)] if own else [])


def open_rows(context: Context, stream: IO[bytes], arguments: Mapping[str, Any]) -> tuple[Bound, Iterator[Any]]:
    """(the layout bound to the file's header, the rows below it); Unprocessable for a file that is not what it says."""
    form = FORMATS[arguments["format"]]
    rows = form.open(cast("Any", stream))
    return bind(known_layouts(context)[arguments["layout"]], rows, form, arguments["facts"]), rows


def work(run: Run) -> None:
    """Take in the file that the job's arguments name; see the module's docstring. Later while another one runs."""
    await_turn(run)
    with files.local_copy(run.engine, run.arguments["file"]) as copy:
        bound, rows = open_rows(run.context(), copy, run.arguments)
        tally = Tally(**run.cursor.get("tally", {}))
        this = _Import(run, Reading(bound), run.cursor.get("row", 0), tally)
        for chunk in judged(run.context(), this.reading, rows):
            _take_in(this, chunk)
        if run.arguments["mode"] == "full":
            _drop_absent(this)
        copy.seek(0)
        name = _write_response(this, copy)
    run.context().transact(partial(_finish, this, name))


def _take_in(this: _Import, chunk: Sequence[Result]) -> None:
    """Store a chunk, unless an earlier try did."""
    if chunk[-1].number <= this.row:
        return
    reading = this.reading
    rows = [(one.number, one.facts, reading.provider(one.facts)) for one in chunk if one.facts]
    source = Source(this.run.arguments["sha256"], this.run.arguments["recorded"])

    def store(transaction: Transaction, tally: Tally) -> None:
        done = enrol(transaction, source, rows, tally.rosters) if rows else Enrolment()
        tally.add(done)
        tally.count(settled(reading.bound, chunk, done.refused))

    this.transact(store, chunk[-1].number, "{rows} rows taken in")


def _drop_absent(this: _Import) -> None:
    """Drop every member whom a full file does not name, from the rosters of the providers in the file."""
    for fid in sorted(this.tally.rosters.values()):
        after = ""
        while page := publishing.page(this.run.context(), fid, after):
            after = page[-1].key
            absent = [row for row in page if not this.reading.names(row.key)]
            if absent:
                this.transact(partial(_drop, fid, absent), _AFTER_ALL, "{dropped} members dropped")


def _drop(fid: str, absent: Sequence[Any], transaction: Transaction, tally: Tally) -> None:
    publishing.drop(transaction, fid, absent)
    tally.dropped += len(absent)
    tally.touch({fid})


def _write_response(this: _Import, copy: IO[bytes]) -> str:
    """Write the response file, one row per row of the file, in the file's own format."""
    run, refusals = this.run, this.tally.refusals
    form, layout = FORMATS[run.arguments["format"]], known_layouts(run.context())["response"]
    bound, rows = open_rows(run.context(), copy, run.arguments)
    again = Reading(bound, providers=this.reading.providers)
    found = (one for chunk in judged(run.context(), again, rows) for one in settled(bound, chunk, refusals))
    name = f"response.{form.suffix}"
    pieces = form.write(response.rows(layout, bound, found))
    files.keep(run.engine, run.caller.org_hash, run.id, name, form.media_types[0], pieces)
    return name


def _finish(this: _Import, name: str, transaction: Transaction) -> None:
    """Publish what changed and end the job, all at once."""
    tally = this.tally
    pending = {fid for fid in tally.rosters.values() if publishing.is_pending(transaction, fid)}
    published = {fid: publishing.publish(transaction, fid) for fid in sorted({*tally.touched, *pending})}
    rosters = [
        {"provider": f"Organization/{provider}", "group": f"Group/{fid}", "published": published.get(fid)}
        for provider, fid in sorted(tally.rosters.items())
    ]
    output = [{"type": "response", "name": name, "count": tally.rows}]
    this.run.finish(transaction, {"summary": tally.summary, "rosters": rosters, "output": output})


JOB = Job(KIND, work)
