"""The job that takes in an assignment file: rows to members, chunk by chunk, each chunk durable with its cursor.

The last steps drop who is absent from a full file, publish the rosters' next version and write the response file. At
every try the file is read from its start; rows before the cursor are only remembered as named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

import xxhash

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.directory import Provider, providers_by_npi
from fhir_server.ecm.files import layouts, publishing, response
from fhir_server.ecm.files.assignment import Assignment, parse_row
from fhir_server.ecm.files.enrolling import Enrolment, Source, enrol
from fhir_server.ecm.files.formats import FORMATS
from fhir_server.ecm.files.layouts.binding import Bound, Finding, bind
from fhir_server.ecm.files.layouts.column import Layout
from fhir_server.ecm.files.rows import RowResult
from fhir_server.engine import roster_rows
from fhir_server.engine.context import Context
from fhir_server.engine.transaction import Transaction
from fhir_server.jobs import files
from fhir_server.jobs.job import Job, Run
from fhir_server.store.hashing import rh

KIND = "import-assignments"
CHUNK = 250

Result = RowResult[Assignment]
Known = dict[str, Provider | None]


@dataclass
class Tally:
    """What became of the rows so far. rosters: provider id -> Group id; touched: Groups to publish."""

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

    def count(self, results: Sequence[Result]) -> None:
        """Count rows by their outcome."""
        for result in results:
            self.rows += 1
            self.accepted += result.outcome == words.ACCEPTED
            self.warnings += result.outcome == words.ACCEPTED_WITH_WARNINGS
            self.rejected += result.outcome == words.REJECTED

    def add(self, enrolment: Enrolment) -> None:
        """Count what a chunk changed."""
        self.new += enrolment.new
        self.changed += enrolment.changed
        self.unchanged += enrolment.unchanged
        self.dropped += enrolment.moved
        self.rosters |= enrolment.rosters
        self.touched = sorted({*self.touched, *enrolment.touched})


def known_layouts(context: Context) -> Mapping[str, Layout]:
    """The file layouts by id, those of the deployment's own folder included."""
    own = context.engine.settings.layouts_folder
    return layouts.load([Path(own)] if own else [])


def open_rows(context: Context, stream: IO[bytes], arguments: Mapping[str, Any]) -> tuple[Bound, Iterator[Any]]:
    """(the layout bound to the file's header, the rows below it); Unprocessable if the file is not what it should be."""
    form = FORMATS[arguments["format"]]
    rows = form.open(cast("Any", stream))
    return bind(known_layouts(context)[arguments["layout"]], rows, form, arguments["facts"]), rows


def results(context: Context, bound: Bound, rows: Iterator[Any], named: set[int], known: Known) -> Iterator[Result]:
    """Each row's result: parsed, its provider registered, its member not named before."""
    parsed = (parse_row(bound, cells, number) for number, cells in rows)
    while chunk := list(islice(parsed, CHUNK)):
        unknown = {result.facts.provider_npi for result in chunk if result.facts} - known.keys()
        found = providers_by_npi(context, unknown)
        known.update({npi: found.get(npi) for npi in unknown})
        yield from (_judged(bound, result, named, known) for result in chunk)


def _judged(bound: Bound, result: Result, named: set[int], known: Known) -> Result:
    if result.facts is None:
        return result
    provider = known[result.facts.provider_npi]
    if provider is None:
        advice = "No ECM Provider here has this NPI. Correct it, or have the provider registered first."
        return _rejected(bound, result, "provider_npi", words.UNKNOWN_PROVIDER, advice)
    key = _name(provider.id, result.facts.cin)
    if key in named:
        advice = "The file names this member for this provider in a row above. Keep one of the rows."
        return _rejected(bound, result, "cin", words.DUPLICATE_MEMBER, advice)
    named.add(key)
    return result


def _name(provider_id: str, cin: str) -> int:
    return xxhash.xxh3_64_intdigest(f"{provider_id}|{cin}".encode())


def _rejected(bound: Bound, result: Result, fact: str, code: str, advice: str) -> Result:
    header = next((column.header for column in bound.layout.columns if column.maps_to == fact), fact)
    finding = Finding(result.number, header, code, advice, "error")
    return response.with_finding(result, finding, words.REJECTED)


def work(run: Run) -> None:
    """Take in the file that the job's arguments name; see the module's docstring."""
    tally, named, known = Tally(**run.cursor.get("tally", {})), set[int](), Known()
    with files.local_copy(run.engine, run.arguments["file"]) as copy:
        bound, rows = open_rows(run.context(), copy, run.arguments)
        found = results(run.context(), bound, rows, named, known)
        while chunk := list(islice(found, CHUNK)):
            _store(run, chunk, known, tally)
        if run.arguments["mode"] == "full":
            _drop_absent(run, named, tally)
        copy.seek(0)
        name = _write_response(run, copy, tally)
    run.context().transact(partial(_finish, run, tally, name))


def _store(run: Run, chunk: Sequence[Result], known: Known, tally: Tally) -> None:
    """Store a chunk and its cursor together; a chunk before the cursor was stored by an earlier try."""
    if chunk[-1].number <= run.cursor.get("row", 0):
        return
    rows = [(one.number, one.facts, provider) for one in chunk if one.facts and (provider := known[one.facts.provider_npi])]
    source = Source(run.arguments["sha256"], run.arguments["recorded"])
    before = asdict(tally)

    def store(transaction: Transaction) -> Tally:
        after = Tally(**before)
        after.count(chunk)
        if rows:
            after.add(enrol(transaction, source, rows, after.rosters))
        if transaction.changes:
            transaction.audit("import", 200, transaction.changes)
        run.save(transaction, {"row": chunk[-1].number, "tally": asdict(after)}, f"{after.rows} rows taken in")
        return after

    vars(tally).update(vars(run.context().transact(store)))


def _drop_absent(run: Run, named: set[int], tally: Tally) -> None:
    """Drop every member whom a full file does not name, from the rosters of the providers in the file."""
    for provider_id, fid in sorted(tally.rosters.items()):
        after: str | None = ""
        while after is not None:
            after = run.context().transact(partial(_drop_page, run, named, tally, provider_id, fid, after))


def _drop_page(
    run: Run, named: set[int], tally: Tally, provider_id: str, fid: str, after: str, transaction: Transaction
) -> str | None:
    group = roster_rows.group(transaction, rh(f"Group/{fid}"))
    rows, last = publishing.absent(
        transaction, group.rh, after, lambda row: _name(provider_id, row.key) in named
    )
    if rows:
        publishing.drop(transaction, group, rows)
        tally.dropped += len(rows)
        tally.touched = sorted({*tally.touched, fid})
        run.save(transaction, {"row": tally_row(run), "tally": asdict(tally)}, f"{tally.dropped} members dropped")
    return last or None


def tally_row(run: Run) -> int:
    """The last row of the file: behind it nothing is left to take in."""
    return int(run.cursor.get("row", 2**31 - 1))


def _write_response(run: Run, copy: IO[bytes], tally: Tally) -> str:
    """Write the response file, one row per row of the file, in the file's own format."""
    form, layout = FORMATS[run.arguments["format"]], known_layouts(run.context())["response"]
    bound, rows = open_rows(run.context(), copy, run.arguments)
    found = results(run.context(), bound, rows, set(), {})
    name = f"response.{form.suffix}"
    pieces = form.write(response.rows(layout, bound, found))
    files.keep(run.engine, run.caller.org_hash, run.id, name, form.media_types[0], pieces)
    del tally
    return name


def _finish(run: Run, tally: Tally, name: str, transaction: Transaction) -> None:
    """Publish what changed and end the job, all at once."""
    published = {fid: publishing.publish(transaction, fid) for fid in tally.touched}
    counted = {key: value for key, value in asdict(tally).items() if key not in {"rosters", "touched"}}
    rosters = [
        {"provider": f"Organization/{provider}", "group": f"Group/{fid}", "published": published.get(fid)}
        for provider, fid in sorted(tally.rosters.items())
    ]
    output = [{"type": "response", "name": name, "count": tally.rows}]
    run.finish(transaction, {"summary": counted, "rosters": rosters, "output": output})


JOB = Job(KIND, work)
