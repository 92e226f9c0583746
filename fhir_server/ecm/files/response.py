"""The answer to a file: its own columns and rows as they came, and four more: outcome, code, message, advice.

So a sender corrects the rows where they stand and sends them back alone: the four columns are passed over then.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.code_lists import names
from fhir_server.ecm.files.layouts.binding import Bound, Finding
from fhir_server.ecm.files.layouts.column import Layout
from fhir_server.ecm.files.layouts.rows import RowResult
from fhir_server.ecm.files.layouts.types import fold

_BETWEEN: Final = "; "
_NO_FACTS: Final = frozenset({v.REJECTED, v.PARKED})


def rows(layout: Layout, bound: Bound, results: Iterable[RowResult[Any]]) -> Iterator[list[str]]:
    """Header and one row per result, ready for any format."""
    added = [column.header for column in layout.columns]
    places = _places(bound, added)
    yield [*(bound.header.cells[at] for at in places), *added]
    for result in results:
        yield line(result, places)


def line(result: RowResult[Any], places: Sequence[int]) -> list[str]:
    """One row of the response: the cells at these places, and what became of them.

    Several findings are joined in the same order in code and message.
    """
    cells, found = result.cells, result.findings
    own = [cells[at] if at < len(cells) else "" for at in places]
    if not found:
        return [*own, result.outcome, "", "", ""]
    message = _BETWEEN.join(map(_told, found))
    return [
        *own,
        result.outcome,
        _BETWEEN.join(finding.code for finding in found),
        f"Row {result.number}: {message}",
        _BETWEEN.join(dict.fromkeys(finding.advice for finding in found)),
    ]


def _told(finding: Finding) -> str:
    """The column and what is the matter with it."""
    text = names("finding").get(finding.code, finding.code)
    return f"{finding.column}: {text}" if finding.column else text


def _places(bound: Bound, added: Sequence[str]) -> list[int]:
    """The positions of the sender's own columns; those of an earlier response are none of them."""
    cells, wanted = bound.header.cells, [fold(text) for text in added]
    old = {at for at, cell in enumerate(cells) if fold(cell) in wanted and at not in bound.header.known}
    if {fold(cells[at]) for at in old} != set(wanted):
        old = set()
    return [at for at in range(bound.width) if at not in old]


def with_finding(result: RowResult[Any], finding: Finding, outcome: str) -> RowResult[Any]:
    """The same row with one more finding: what only the import can know (unknown provider, duplicate member)."""
    facts = None if outcome in _NO_FACTS else result.facts
    return RowResult(result.number, outcome, facts, (*result.findings, finding), result.cells)
