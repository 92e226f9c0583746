"""One try at one assignment file: opened and looked over, where it stands, and what it has done so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import IO, Any

from fhir_server.ecm import directory
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.files.assignments import judging
from fhir_server.ecm.files.assignments.answering import Findings
from fhir_server.ecm.files.assignments.declaring import Declaration
from fhir_server.ecm.files.assignments.judging import Chunk, Reading
from fhir_server.ecm.files.assignments.scanning import scan
from fhir_server.ecm.files.assignments.tally import Tally
from fhir_server.ecm.files.opening import open_rows
from fhir_server.ecm.rosters import newborn_numbers
from fhir_server.engine.context import Context, Transaction
from fhir_server.jobs.job import Run


@dataclass
class Attempt:
    """Where the try stands in the file, and what became of it so far."""

    run: Run
    copy: IO[bytes]
    reading: Reading
    row: int
    tally: Tally
    findings: Findings = field(default_factory=Findings)

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

    def chunks(self) -> Iterator[Chunk]:
        """The file's rows once more from its start, judged by a reading of their own."""
        rows = self.rows()
        return judging.judged(self.run.context(), self.reading, rows)

    def rows(self) -> Iterator[Any]:
        """The file's rows once more from its start."""
        self.reading, rows = opened(self.run, self.copy, self.reading)
        return rows


def opened(run: Run, copy: IO[bytes], before: Reading | None = None) -> tuple[Reading, Iterator[Any]]:
    """(what the rows are judged by, the rows); what `before` has found out of the file is found out."""
    context = run.context()
    copy.seek(0)
    bound, rows = open_rows(context, copy, run.arguments)
    if before is None:
        declared = Declaration(**run.arguments["declared"])
        found = scan(bound, rows)
        copy.seek(0)
        bound, rows = open_rows(context, copy, run.arguments)
        before = Reading(bound, declared, found, _today(context), _plan_codes(context, declared))
        before.learn(context, [*filter(None, found.npis), *filter(None, [declared.provider])])
    born = newborn_numbers.known(context)
    declared, found = before.declared, before.scan
    return Reading(bound, declared, found, before.today, before.plan_codes, before.providers, newborns=born), rows


def _today(context: Context) -> str:
    return datetime.fromtimestamp(context.now / 1000, context.engine.settings.zone).date().isoformat()


def _plan_codes(context: Context, declared: Declaration) -> frozenset[str]:
    """The plan codes a row may carry: the one declared, else those of the plan's own entry; empty: any."""
    if declared.plan_code:
        return frozenset({declared.plan_code})
    own = directory.entry(context, context.caller.org).get("identifier", [])
    return frozenset(item["value"] for item in own if item.get("system") == words.PLAN_CODE and item.get("value"))
