"""The answer to a file: one row per input row with outcome, column, code and advice, and the cells that name it."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.files.layouts.binding import Bound, Finding
from fhir_server.ecm.files.layouts.column import Layout
from fhir_server.ecm.files.rows import RowResult

_BETWEEN: Final = "; "


def header(layout: Layout, bound: Bound) -> list[str]:
    """The headers of the response layout and, after them, those of the input's key columns."""
    return [
        *(column.header for column in layout.columns),
        *(bound.layout.column(name).header for name in bound.layout.key),
    ]


def line(result: RowResult[Any]) -> list[str]:
    """One row of the response: several findings are joined in the same order in column, code and advice."""
    return [
        str(result.number),
        result.outcome,
        _joined(finding.column for finding in result.findings),
        _joined(finding.code for finding in result.findings),
        _BETWEEN.join(dict.fromkeys(finding.advice for finding in result.findings)),
        *result.keys,
    ]


def with_finding(result: RowResult[Any], finding: Finding, outcome: str) -> RowResult[Any]:
    """The same row with one more finding: what only the import can know (unknown provider, duplicate member)."""
    facts = None if outcome == v.REJECTED else result.facts
    return RowResult(result.number, outcome, facts, (*result.findings, finding), result.keys)


def rows(layout: Layout, bound: Bound, results: Iterable[RowResult[Any]]) -> Iterator[list[str]]:
    """Header and one row per result, ready for any format."""
    yield header(layout, bound)
    for result in results:
        yield line(result)


def _joined(words: Iterable[str]) -> str:
    return _BETWEEN.join(words)
