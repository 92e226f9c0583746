"""Facts become the rows of a file in the columns of a layout; `reading` is the way back.

Roster, Return Transmission File, Outreach Tracker, Community Supports return file: ecm/files/layouts.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

from fhir_server.ecm.files.facts import KINDS, MemberFacts, OutreachAttempt, ReferralFacts, RosterEntry
from fhir_server.ecm.files.format import Format
from fhir_server.ecm.files.layouts.column import Column, Layout
from fhir_server.ecm.files.layouts.types import writer
from fhir_server.ecm.rosters.assignment import Assignment


def roster(layout: Layout, members: Iterable[tuple[Assignment, RosterEntry]]) -> Iterator[list[str]]:
    """Header and one row per member, in the columns of the Member Information File and those of the roster."""
    return _rows(layout, members, (Assignment, RosterEntry))


def rows(layout: Layout, facts: Iterable[MemberFacts | OutreachAttempt | ReferralFacts]) -> Iterator[list[str]]:
    """Header and one row per fact, for the layouts return-transmission, outreach-tracker, community-supports-return."""
    return _rows(layout, ((fact,) for fact in facts), (KINDS[layout.id],))


def render(form: Format, lines: Iterable[Sequence[str]]) -> Iterator[bytes]:
    """The file in chunks of bytes, in this format; no cell can run as a formula."""
    return form.write(lines)


def _rows(layout: Layout, entries: Iterable[tuple[Any, ...]], kinds: Sequence[Any]) -> Iterator[list[str]]:
    columns = [column for column in layout.columns if column.maps_to]
    cells = [_cell(layout, column, kinds) for column in columns]
    yield [column.header for column in columns]
    for entry in entries:
        yield [cell(entry) for cell in cells]


def _facts_of(kind: Any) -> tuple[str, ...]:
    return kind.__struct_fields__ if kind is Assignment else tuple(field.name for field in fields(kind))


def _cell(layout: Layout, column: Column, kinds: Sequence[Any]) -> Callable[[tuple[Any, ...]], str]:
    """How one column's cell is made: from which of the facts, and how it is written."""
    part = next((at for at, kind in enumerate(kinds) if column.maps_to in _facts_of(kind)), None)
    if part is None:
        return lambda _: ""
    if column.item:
        return _flag({column.item, *column.also}, part, column.maps_to)
    name, write = column.maps_to, writer(column, layout.dates)

    def cell(entry: tuple[Any, ...]) -> str:
        value = getattr(entry[part], name)
        return "" if value is None or value == () else write(value)

    return cell


def _flag(wanted: set[str], part: int, fact: str) -> Callable[[tuple[Any, ...]], str]:
    """Whether a list holds one of these items; blank where the list is withheld."""

    def cell(entry: tuple[Any, ...]) -> str:
        items = getattr(entry[part], fact)
        return "" if items is None else "Y" if wanted.intersection(items) else "N"

    return cell
