"""Rows become facts: an assignment, or what a return file tells; facts that contradict each other are found."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.files.facts import KINDS
from fhir_server.ecm.files.layouts.binding import Bound
from fhir_server.ecm.files.layouts.rows import Contradiction, RowResult, read_row
from fhir_server.ecm.rosters.assignment import Assignment

_NO_ZERO: Final = frozenset({None, "CA"})  # where no ZIP code begins with a zero


def parse_assignment(bound: Bound, cells: Sequence[str], number: int) -> RowResult[Assignment]:
    """The row's assignment with its outcome and findings; never raises for what a cell holds."""
    return read_row(bound, cells, number, Assignment, _of_assignments)


def parse_facts(bound: Bound, cells: Sequence[str], number: int) -> RowResult[Any]:
    """A row of a return file as the facts of its layout, by the same rules."""
    return read_row(bound, cells, number, KINDS[bound.layout.id], _of_facts)


def _of_assignments(facts: dict[str, Any]) -> Iterator[Contradiction]:
    start, end = facts.get("authorization_start"), facts.get("authorization_end")
    if start and end and end < start:
        yield "authorization_end", v.END_BEFORE_START, "Give an end that is not before the start.", "error"
    born, known = facts.get("birth_date"), facts.get("production_date") or facts.get("assignment_date")
    if born and known and born > known:
        yield "birth_date", v.BAD_DATE, "Give a date of birth that is not after the date of the file.", "error"
    for zip_code, state in (("zip", "state"), ("mailing_zip", "mailing_state")):
        if facts.get(zip_code, "9") < "1" and facts.get(state) in _NO_ZERO:
            del facts[zip_code]  # a digit is missing, and who can say which
            yield zip_code, v.BAD_ZIP, "Give a ZIP code of 5 or 9 digits, leading zeros included.", "warning"


def _of_facts(facts: dict[str, Any]) -> Iterator[Contradiction]:
    for start, end in (("benefit_start", "benefit_end"), ("service_start", "service_end")):
        if facts.get(start) and facts.get(end) and facts[end] < facts[start]:
            yield end, v.END_BEFORE_START, "Give an end that is not before the start.", "error"
    if facts.get("referral_status") == v.LOOP_CLOSED and not facts.get("closure_reason"):
        yield "closure_reason", v.MISSING, "Give the reason when the referral loop is closed.", "warning"
