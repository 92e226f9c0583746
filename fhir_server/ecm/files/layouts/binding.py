"""A layout meets the header of a file: which column stands where, and how its rows are read fast.

Headers are compared without case, blanks and punctuation, synonyms included; rows above the header are passed over.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple, cast

from marshmallow import Schema, ValidationError

from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.files.format import Format, NumberedRow, refused
from fhir_server.ecm.files.layouts.column import Column, Layout
from fhir_server.ecm.files.layouts.schema import missing, row_schema
from fhir_server.ecm.files.layouts.types import Reader, fold, reader
from fhir_server.ecm.member import Unreadable

_ROWS_ABOVE: Final = 20  # titles and instructions that may stand above the header
_LONGEST_ECHO: Final = 64


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a row: where, what (a code of the vocabulary), what to do; an error rejects the row."""

    row: int
    column: str
    code: str
    advice: str
    severity: str = "warning"


class _Place(NamedTuple):
    """A column at a position of the file; a tuple, because every cell of every row is read through one."""

    position: int
    fact: str
    read: Reader
    required: bool
    column: Column


@dataclass(frozen=True, slots=True)
class Bound:
    """A layout bound to one file's header. `absent` are its columns the file lacks, `unknown` headers it ignores.

    `defaults` are facts given beside the file (plan code, production date), used where a cell is blank.
    """

    layout: Layout
    header_row: int
    width: int
    limit: int
    pads: bool
    absent: tuple[Column, ...]
    unknown: tuple[str, ...]
    defaults: Mapping[str, Any]
    places: tuple[_Place, ...]
    flags: tuple[_Place, ...]
    keys: tuple[int, ...]
    schema: Schema

    def read(self, cells: Sequence[str], row: int) -> tuple[dict[str, Any], list[Finding]]:
        """The facts of a row by the names the layout maps to, and what was found wrong with it."""
        findings = [] if self.width <= len(cells) <= self.limit else self._width_findings(cells, row)
        if len(cells) < self.width:
            cells = [*cells, *[""] * (self.width - len(cells))]
        values = dict(self.defaults)
        try:
            self._read_fast(cells, row, values, findings)
        except Unreadable:
            return self._read_slowly(cells, row, findings)
        return values, findings

    def key(self, cells: Sequence[str]) -> tuple[str, ...]:
        """The cells that name a row to its sender, as they came, cut to what may be echoed."""
        return tuple(cells[at].strip()[:_LONGEST_ECHO] if 0 <= at < len(cells) else "" for at in self.keys)

    def _read_fast(self, cells: Sequence[str], row: int, values: dict[str, Any], findings: list[Finding]) -> None:
        blanks = self.layout.blanks
        lacking = []
        for position, fact, read, required, column in self.places:
            text = cells[position]
            if text and (text := text.strip()) and text not in blanks and (value := read(text)) is not None:
                values[fact] = value
            elif required and fact not in values:
                lacking.append(column)
        for position, _, read, _, column in self.flags:
            text = cells[position].strip()
            if text and text not in blanks and read(text):
                _add_item(values, column)
        findings += [_finding(row, column, missing()) for column in lacking]

    def _read_slowly(
        self, cells: Sequence[str], row: int, findings: list[Finding]
    ) -> tuple[dict[str, Any], list[Finding]]:
        """By the schema, which names every bad column at once; a bad column is left out."""
        places = (*self.places, *self.flags)
        found = {place.column.header: cells[place.position] for place in places}
        errors: Mapping[str, list[dict[str, Any]]] = {}
        try:
            loaded: Any = self.schema.load(found)
        except ValidationError as error:
            loaded, errors = error.valid_data, cast("Mapping[str, list[dict[str, Any]]]", error.messages)
        values = dict(self.defaults)
        for place in places:
            column = place.column
            for problem in errors.get(column.header, ()):
                if problem["code"] != v.MISSING or column.maps_to not in values:
                    findings.append(_finding(row, column, problem))
                loaded = {**loaded, column.name: problem["kept"]}
            value = loaded.get(column.name)
            if column.item and value:
                _add_item(values, column)
            elif value is not None and not column.item:
                values[column.maps_to] = value
        return values, findings

    def _width_findings(self, cells: Sequence[str], row: int) -> list[Finding]:
        if self.pads:  # a workbook leaves out blank cells, and what stands beside the table is a remark
            return []
        if any(cell.strip() for cell in cells[self.limit :]):
            advice = f"The row has {len(cells)} cells, the header {self.limit}: quote cells that hold the delimiter."
            return [Finding(row, "", v.LONG_ROW, advice, "error")]
        if len(cells) < self.width:
            advice = f"The row has {len(cells)} cells, the header {self.width}: check whether the file was cut."
            return [Finding(row, "", v.SHORT_ROW, advice)]
        return []


def bind(layout: Layout, rows: Iterator[NumberedRow], form: Format, defaults: Mapping[str, Any] | None = None) -> Bound:
    """Take rows up to and including the header and bind the layout to it.

    Unprocessable (422, issue code `structure`) when no row holds the columns without which no row could be used,
    naming those that are missing, or when two headers mean the same column.
    """
    best: tuple[int, NumberedRow] | None = None
    needed = {column.name for column in layout.columns if column.rejects}
    for number, cells in islice(rows, _ROWS_ABOVE):
        known = _known(layout, cells)
        if known and needed <= set(known.values()):
            return _bound(layout, number, cells, form, defaults or {})
        if best is None or len(known) > best[0]:
            best = (len(known), (number, cells))
    raise _wrong_header(layout, best)


def _known(layout: Layout, cells: Sequence[str]) -> dict[int, str]:
    by_header = {fold(text): c.name for c in layout.columns for text in (c.header, *c.synonyms)}
    folded = (by_header.get(fold(cell)) for cell in cells)
    return {position: name for position, name in enumerate(folded) if name}


def _wrong_header(layout: Layout, best: tuple[int, NumberedRow] | None) -> Exception:
    if best is None:
        return refused("The file has no rows. Its first row must hold the column headers.")
    if best[0] == 0:
        return refused(f"No header of the {layout.title} was found in the first {_ROWS_ABOVE} rows.")
    number, cells = best[1]
    present = set(_known(layout, cells).values())
    lacking = [column.header for column in layout.columns if column.rejects and column.name not in present]
    return refused(f"The header in row {number} lacks: {'; '.join(lacking)}.")


def _bound(layout: Layout, number: int, cells: list[str], form: Format, defaults: Mapping[str, Any]) -> Bound:
    known = _known(layout, cells)
    names = list(known.values())
    twice = sorted({layout.column(name).header for name in names if names.count(name) > 1})
    if twice:
        raise refused(f"The header in row {number} has more than one column for: {'; '.join(twice)}.")
    position = {name: at for at, name in known.items()}
    used = [column for column in layout.columns if column.name in position and column.maps_to]
    places = [_place(position[c.name], c) for c in used]
    return Bound(
        layout=layout,
        header_row=number,
        width=max((at for at, cell in enumerate(cells) if cell.strip()), default=-1) + 1,
        limit=len(cells),
        pads=form.pads,
        absent=tuple(c for c in layout.columns if c.name not in position),
        unknown=tuple(
            cell.strip()[:_LONGEST_ECHO] for at, cell in enumerate(cells) if cell.strip() and at not in known
        ),
        defaults=defaults,
        places=tuple(place for place in places if not place.column.item),
        flags=tuple(place for place in places if place.column.item),
        keys=tuple(position.get(name, -1) for name in layout.key),
        schema=row_schema(layout),
    )


def _place(position: int, column: Column) -> _Place:
    return _Place(position, column.maps_to, reader(column), column.required == "R" and not column.item, column)


def _add_item(values: dict[str, Any], column: Column) -> None:
    items = values.get(column.maps_to, ())
    if column.item not in items and not set(column.also).intersection(items):
        values[column.maps_to] = tuple(sorted((*items, column.item)))


def _finding(row: int, column: Column, problem: Mapping[str, Any]) -> Finding:
    return Finding(row, column.header, problem["code"], problem["advice"], "error" if column.rejects else "warning")
