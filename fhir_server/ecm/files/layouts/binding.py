"""A layout meets the header of a file: which column stands where, and how its rows are read fast.

Headers are compared without case, blanks and punctuation, synonyms included.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from marshmallow import Schema, ValidationError

from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.files.format import Format, NumberedRow, Opening
from fhir_server.ecm.files.layouts.column import Column, Layout
from fhir_server.ecm.files.layouts.header import Header, find
from fhir_server.ecm.files.layouts.schema import missing, row_schema
from fhir_server.ecm.files.layouts.types import Reader, plain, reader
from fhir_server.ecm.member import Mended, Unreadable

_LONGEST_ECHO: Final = 64


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a row: where, what (a code of the vocabulary), what to do.

    An error rejects the row; information alone leaves it accepted.
    """

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

    `defaults` are facts given beside the file (plan code, production date), used where a cell is blank; `mended` says
    what was mended in the file as a whole, and may grow as its rows are read.
    """

    layout: Layout
    header: Header
    width: int
    limit: int
    pads: bool
    absent: tuple[Column, ...]
    unknown: tuple[str, ...]
    defaults: Mapping[str, Any]
    places: tuple[_Place, ...]
    flags: tuple[_Place, ...]
    position: Mapping[str, int]
    mended: list[str]
    schema: Schema

    def place(self, fact: str) -> int:
        """The position of the column that carries a fact; -1 if the file has none."""
        return next((place.position for place in self.places if place.fact == fact), -1)

    def cell(self, cells: Sequence[str], name: str) -> str:
        """The cell of the column of this name, "" where the file or the row has none."""
        at = self.position.get(name, -1)
        return cells[at].strip() if 0 <= at < len(cells) else ""

    def read(self, cells: Sequence[str], row: int) -> tuple[dict[str, Any], list[Finding]]:
        """The facts of a row by the names the layout maps to, and what was found wrong with it."""
        findings = [] if self.width <= len(cells) <= self.limit else self._width_findings(cells, row)
        if len(cells) < self.width:
            cells = [*cells, *[""] * (self.width - len(cells))]
        values = dict(self.defaults)
        try:
            self._read_fast(cells, row, values, findings)
        except Unreadable:
            values, findings = self._read_slowly(cells, row, findings)
        if Mended in map(type, values.values()):
            self._tell_mended(values, row, findings)
        return values, findings

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

    def _tell_mended(self, values: dict[str, Any], row: int, findings: list[Finding]) -> None:
        """What was mended is plain from here on, and told."""
        for place in self.places:
            value = values.get(place.fact)
            if type(value) is Mended:
                values[place.fact] = plain(value)
                findings.append(Finding(row, place.column.header, v.MENDED, value.how, "information"))

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


def bind(
    layout: Layout,
    rows: Iterator[NumberedRow],
    form: Format,
    defaults: Mapping[str, Any] | None = None,
    opening: Opening | None = None,
) -> Bound:
    """Take rows up to and including the header and bind the layout to it; see `header.find` for what is refused.

    What is given in `defaults` goes before what a block above the header says.
    """
    given = dict(defaults or {})
    found = find(layout, rows, given, opening.hidden if opening else ())
    said = {layout.column(name).maps_to: value for name, value in found.said.items() if layout.column(name).maps_to}
    mended = opening.mended if opening else []
    mended += found.mended
    return _bound(layout, found, form, {**said, **given}, mended)


def _bound(layout: Layout, found: Header, form: Format, defaults: Mapping[str, Any], mended: list[str]) -> Bound:
    position = {name: at for at, name in found.known.items()}
    used = [column for column in layout.columns if column.name in position and column.maps_to]
    places = [_place(position[c.name], c) for c in used]
    cells = found.cells
    return Bound(
        layout=layout,
        header=found,
        width=max((at for at, cell in enumerate(cells) if cell.strip()), default=-1) + 1,
        limit=len(cells),
        pads=form.pads,
        absent=tuple(c for c in layout.columns if c.name not in position),
        unknown=tuple(
            cell.strip()[:_LONGEST_ECHO] for at, cell in enumerate(cells) if cell.strip() and at not in found.known
        ),
        defaults=defaults,
        places=tuple(place for place in places if not place.column.item),
        flags=tuple(place for place in places if place.column.item),
        position=position,
        mended=mended,
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
