"""The job that takes in a provider's return file: rows to episodes, chunk by chunk, each durable with its cursor.

A file that was taken in before writes nothing. The response file has a row for every row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import IO, Any

import orjson

from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.facets import identifier
from fhir_server.ecm.files import response
from fhir_server.ecm.files.formats import FORMATS
from fhir_server.ecm.files.layouts.rows import Outcomes
from fhir_server.ecm.files.opening import known_layouts, open_rows
from fhir_server.ecm.files.returns.gathering import parties_of
from fhir_server.ecm.files.returns.judging import Judged, Reading, accepted, judged
from fhir_server.ecm.files.returns.recording import Contract, record
from fhir_server.ecm.rosters.drafting import Source
from fhir_server.engine import records
from fhir_server.engine.context import Transaction
from fhir_server.jobs import files
from fhir_server.jobs.job import Job, Run

KIND = "import-return-file"
LAYOUT = "return-transmission"


@dataclass
class Tally(Outcomes):
    """What became of the rows so far; it is kept in the job's cursor."""

    changed: int = 0
    unchanged: int = 0

    def after(self, chunk: Sequence[Judged], changed: int) -> Tally:
        """The tally with one more chunk."""
        after = replace(self, changed=self.changed + changed, unchanged=self.unchanged + len(accepted(chunk)) - changed)
        after.count([one.result for one in chunk])
        return after


def work(run: Run) -> None:
    """Take in the file that the job's arguments name; see the module's docstring."""
    tally = Tally(**run.cursor.get("tally", {}))
    done = int(run.cursor.get("row", 0))
    with files.local_copy(run.engine, run.arguments["file"]) as copy:
        contract, reading, rows = _open(run, copy)
        for chunk in judged(run.context(), reading, rows):
            if chunk[-1].result.number > done:
                tally = run.context().transact(partial(_take_in, run, contract, chunk, tally))
        copy.seek(0)
        name = _write_response(run, copy)
    run.context().transact(partial(_finish, run, tally, name))


def _open(run: Run, copy: IO[bytes]) -> tuple[Contract, Reading, Iterator[Any]]:
    """(the contract of the roster, what the rows are judged by, the rows below the header)."""
    context = run.context()
    row = records.find(context, "Group", run.arguments["group"], KIND)
    group = orjson.loads(row.body)
    _, provider = parties_of(group)
    known = records.by_reference(context, [provider]).get(provider, {})
    bound, rows = open_rows(context, copy, run.arguments)
    reading = Reading(bound, row, provider, identifier(known, v.NPI) or "")
    return Contract(identifier(group, v.CONTRACT) or row.fid, provider), reading, rows


def _take_in(run: Run, contract: Contract, chunk: Sequence[Judged], tally: Tally, transaction: Transaction) -> Tally:
    source = Source(run.arguments["sha256"], run.arguments["recorded"])
    after = tally.after(chunk, record(transaction, source, contract, accepted(chunk)))
    if transaction.changes:
        transaction.audit(KIND, 200, transaction.changes)
    cursor = {"row": chunk[-1].result.number, "tally": asdict(after)}
    run.save(transaction, cursor, f"{after.rows} rows taken in")
    return after


def _write_response(run: Run, copy: IO[bytes]) -> str:
    """Write the response file, one row per row of the file, in the file's own format."""
    form, layout = FORMATS[run.arguments["format"]], known_layouts(run.context())["response"]
    _, reading, rows = _open(run, copy)
    results = (one.result for chunk in judged(run.context(), reading, rows) for one in chunk)
    name = f"response.{form.suffix}"
    pieces = form.write(response.rows(layout, reading.bound, results))
    files.keep(run.engine, run.caller.org_hash, run.id, name, form.media_types[0], pieces)
    return name


def _finish(run: Run, tally: Tally, name: str, transaction: Transaction) -> None:
    output = [{"type": "response", "name": name, "count": tally.rows}]
    run.finish(transaction, {"summary": asdict(tally), "output": output})


JOB = Job(KIND, work)
