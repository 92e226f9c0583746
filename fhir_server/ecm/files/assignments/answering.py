"""The answer to an assignment file: what was found in its rows, and the response file that tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.files import response
from fhir_server.ecm.files.assignments.judging import Chunk, Result, settled
from fhir_server.ecm.files.format import NumberedRow
from fhir_server.ecm.files.formats import FORMATS
from fhir_server.ecm.files.layouts.binding import Bound
from fhir_server.ecm.files.layouts.rows import RowResult
from fhir_server.ecm.files.opening import known_layouts
from fhir_server.ecm.rosters.identity import Refusal
from fhir_server.jobs import files
from fhir_server.jobs.job import Run

_MOST = 5_000  # rows with findings that are remembered; beyond that they are judged once more


@dataclass
class Findings:
    """What one pass over a file found. mended: (column, what was done) -> rows; rows: the results with findings.

    `are_all`: whether the rows with findings are few enough to be remembered.
    """

    mended: Counter[tuple[str, str]] = field(default_factory=Counter)
    rows: dict[int, Result] = field(default_factory=dict)
    are_all: bool = True

    def add(self, chunk: Chunk) -> None:
        """Remember what was found in these rows."""
        found = [result for result in chunk.results if result.findings]
        for result in found:
            for finding in result.findings:
                if finding.code == words.MENDED:
                    self.mended[finding.column, finding.advice] += 1
        self.are_all = self.are_all and len(self.rows) + len(found) <= _MOST
        if self.are_all:
            self.rows |= {one.number: RowResult(one.number, one.outcome, None, one.findings, ()) for one in found}

    def results(self, rows: Iterable[NumberedRow]) -> Iterator[Result]:
        """The results of all rows without judging them again: a row of which nothing is remembered was accepted."""
        for number, cells in rows:
            known = self.rows.get(number)
            if known is None:
                yield RowResult(number, words.ACCEPTED, None, (), cells)
            else:
                yield RowResult(number, known.outcome, None, known.findings, cells)

    def told(self, bound: Bound) -> list[dict[str, Any]]:
        """What was mended, as the job's result says it."""
        mended: list[dict[str, Any]] = [{"what": what} for what in dict.fromkeys(bound.mended)]
        return mended + [
            {"what": how, "column": column, "rows": rows} for (column, how), rows in sorted(self.mended.items())
        ]


def write(
    run: Run, bound: Bound, found: Iterable[Result], refusals: Mapping[int, Refusal]
) -> tuple[str, Mapping[str, int]]:
    """Write the response file, one row per row of the file, in the file's own format; (its name, rows by outcome)."""
    form, layout = FORMATS[run.arguments["format"]], known_layouts(run.context())["response"]
    outcomes = Counter[str]()

    def results() -> Iterator[Result]:
        for row in found:
            (result,) = settled(bound, [row], refusals)
            outcomes[result.outcome] += 1
            yield result

    name = f"response.{form.suffix}"
    pieces = form.write(response.rows(layout, bound, results()))
    files.keep(run.engine, run.caller.org_hash, run.id, name, form.media_types[0], pieces)
    return name, outcomes
