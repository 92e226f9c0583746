"""What became of one row of a file: accepted, accepted with warnings, or rejected, and the facts it held."""

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
    """A row's outcome, its facts (None when rejected), what was found, and the cells that name it to its sender."""

    number: int
    outcome: str
    facts: T | None
    findings: tuple[Finding, ...]
    keys: tuple[str, ...]


def read_row(bound: Bound, cells: Sequence[str], number: int, kind: Callable[..., T], rule: Rule) -> RowResult[T]:
    """The row as facts of this kind; `rule` yields (fact, code, advice, severity) for facts that contradict each other.

    A bad optional column is left out with a warning; a bad or missing column that `rejects`, or a contradiction
    of severity error, rejects the row.
    """
    values, findings = bound.read(cells, number)
    findings += [
        Finding(number, _header(bound, fact), code, advice, severity) for fact, code, advice, severity in rule(values)
    ]
    if any(finding.severity == "error" for finding in findings):
        return RowResult(number, v.REJECTED, None, tuple(findings), bound.key(cells))
    outcome = v.ACCEPTED_WITH_WARNINGS if findings else v.ACCEPTED
    return RowResult(number, outcome, kind(**values), tuple(findings), bound.key(cells))


def _header(bound: Bound, fact: str) -> str:
    return next((column.header for column in bound.layout.columns if column.maps_to == fact), fact)
