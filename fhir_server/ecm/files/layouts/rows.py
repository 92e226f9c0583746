"""What became of one row of a file: accepted, accepted with warnings, parked, or rejected, and the facts it held."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.files.layouts.binding import Bound, Finding

T = TypeVar("T")

Contradiction = tuple[str, str, str, str]  # fact, code, advice, severity
Rule = Callable[[dict[str, Any]], Iterator[Contradiction]]


@dataclass(frozen=True, slots=True)
class RowResult(Generic[T]):
    """A row's outcome, its facts (None when rejected), what was found, and its cells as they came."""

    number: int
    outcome: str
    facts: T | None
    findings: tuple[Finding, ...]
    cells: Sequence[str]


@dataclass
class Outcomes:
    """Rows by what became of them."""

    rows: int = 0
    accepted: int = 0
    warnings: int = 0
    rejected: int = 0

    def count(self, results: Sequence[RowResult[Any]]) -> None:
        """Count rows by their outcome."""
        outcomes = [one.outcome for one in results]
        self.rows += len(results)
        self.accepted += outcomes.count(v.ACCEPTED)
        self.warnings += outcomes.count(v.ACCEPTED_WITH_WARNINGS)
        self.rejected += outcomes.count(v.REJECTED)


def read_row(bound: Bound, cells: Sequence[str], number: int, kind: Callable[..., T], rule: Rule) -> RowResult[T]:
    """The row as facts of this kind; `rule` yields (fact, code, advice, severity) for facts that contradict each other.

    A bad optional column is left out with a warning; a bad or missing column that `rejects`, or a contradiction
    of severity error, rejects the row.
    """
    values, findings = bound.read(cells, number)
    findings += [
        Finding(number, header_of(bound, fact), code, advice, severity) for fact, code, advice, severity in rule(values)
    ]
    if not findings:
        return RowResult(number, v.ACCEPTED, kind(**values), (), cells)
    severities = {finding.severity for finding in findings}
    if "error" in severities:
        return RowResult(number, v.REJECTED, None, tuple(findings), cells)
    outcome = v.ACCEPTED_WITH_WARNINGS if "warning" in severities else v.ACCEPTED
    return RowResult(number, outcome, kind(**values), tuple(findings), cells)


def header_of(bound: Bound, fact: str) -> str:
    """The header of the first column that carries a fact; the fact's own name where there is none."""
    return next((column.header for column in bound.layout.columns if column.maps_to == fact), fact)
