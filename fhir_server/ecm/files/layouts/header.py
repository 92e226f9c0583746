"""Finding the header of a table: instructions and a block about the file may stand above it, merged titles over it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Final

from fhir_server.ecm.files.format import NumberedRow, refused
from fhir_server.ecm.files.layouts.column import Column, Layout
from fhir_server.ecm.files.layouts.types import fold, plain, reader
from fhir_server.ecm.member import Unreadable

_ROWS_ABOVE: Final = 20  # titles and instructions that may stand above the header
_ABOVE: Final = "Headers were completed by the merged titles above them."
_HIDDEN: Final = "Hidden columns that repeat a visible one were passed over."


@dataclass(frozen=True, slots=True)
class Header:
    """The row of the headers: its number and cells, position -> column name, what the block above it says, repairs.

    `said` is by column name.
    """

    number: int
    cells: Sequence[str]
    known: Mapping[int, str]
    said: Mapping[str, Any] = field(default_factory=dict)
    mended: tuple[str, ...] = ()


def find(layout: Layout, rows: Iterator[NumberedRow], given: Mapping[str, Any], hidden: Collection[int] = ()) -> Header:
    """Take rows up to and including the header; `given` are facts that need no column, `hidden` columns not shown.

    Unprocessable (422, issue code `structure`) when no row holds the columns without which no row could be used,
    naming those that are missing, or when two headers mean the same column.
    """
    best: Header | None = None
    said: dict[str, Any] = {}
    above: NumberedRow = (0, [])
    for number, cells in islice(rows, _ROWS_ABOVE):
        titles = above[1] if above[0] == number - 1 else ()
        found = _read(layout, number, cells, titles)
        lacking = _lacking(layout, found, {*given, *(layout.column(name).maps_to for name in said)})
        if found.known and not lacking:
            single = _single(layout, found, hidden)
            return Header(number, found.cells, single.known, said, single.mended)
        if best is None or len(found.known) > len(best.known):
            best = found
        said = {**_block(layout, cells), **said}
        above = (number, cells)
    raise _wrong(layout, best)


def looks_like(layout: Layout, cells: Sequence[str], titles: Sequence[str]) -> bool:
    """Whether a row can be the header of this layout; what belongs to the whole file may be said elsewhere."""
    found = _read(layout, 0, cells, titles)
    return bool(found.known) and not _lacking(
        layout, found, {column.maps_to for column in layout.columns if column.of_file}
    )


def _read(layout: Layout, number: int, cells: Sequence[str], titles: Sequence[str]) -> Header:
    """The row as a header; a cell may be completed by the title above it, which a merged cell spreads to the right."""
    by_header = {fold(text): c.name for c in layout.columns for text in (c.header, *c.synonyms)}
    plainly = {at: name for at, cell in enumerate(cells) if (name := by_header.get(fold(cell)))}
    if not titles:
        return Header(number, cells, plainly)
    names = [" ".join(filter(None, pair)) for pair in zip(_spread(titles, len(cells)), cells, strict=True)]
    under = {at: name for at, cell in enumerate(names) if (name := by_header.get(fold(cell)))}
    known = {**plainly, **under}
    if known == plainly:
        return Header(number, cells, plainly)
    shown = [name if at in under else cell for at, (name, cell) in enumerate(zip(names, cells, strict=True))]
    return Header(number, shown, dict(sorted(known.items())), {}, (_ABOVE,))


def _spread(titles: Sequence[str], width: int) -> list[str]:
    spread, last = [], ""
    for title, _ in zip(chain(titles, [""] * width), range(width), strict=False):
        last = title.strip() or last
        spread.append(last)
    return spread


def _lacking(layout: Layout, found: Header, given: set[str]) -> list[str]:
    present = set(found.known.values())
    needed = [column for column in layout.columns if column.rejects and column.maps_to not in given]
    return [column.header for column in needed if column.name not in present]


def _single(layout: Layout, found: Header, hidden: Collection[int]) -> Header:
    """The header without the hidden columns that repeat a visible one; refused if a column is still there twice."""
    shown = {name for at, name in found.known.items() if at not in hidden}
    known = {at: name for at, name in found.known.items() if at not in hidden or name not in shown}
    names = list(known.values())
    twice = sorted({layout.column(name).header for name in names if names.count(name) > 1})
    if twice:
        raise refused(f"The header in row {found.number} has more than one column for: {'; '.join(twice)}.")
    if known == found.known:
        return found
    return Header(found.number, found.cells, known, {}, (*found.mended, _HIDDEN))


def _wrong(layout: Layout, best: Header | None) -> Exception:
    if best is None:
        return refused("The file has no rows. Its first row must hold the column headers.")
    if not best.known:
        return refused(f"No header of the {layout.title} was found in the first {_ROWS_ABOVE} rows.")
    return refused(f"The header in row {best.number} lacks: {'; '.join(_lacking(layout, best, set()))}.")


def _block(layout: Layout, cells: Sequence[str]) -> dict[str, Any]:
    """What a row above the header says of the file: `label: value` in one cell, or a label and its value beside it."""
    texts = [cell.strip() for cell in cells if cell.strip()]
    found: dict[str, Any] = {}
    for text, after in zip(texts, [*texts[1:], ""], strict=True):
        label, _, value = text.partition(":")
        column = next((c for c in layout.columns if c.of_file and fold(label) in _names(c)), None)
        value = value.strip() or after
        if column and value and (read := _value(column, value)) is not None:
            found[column.name] = read
    return found


def _names(column: Column) -> set[str]:
    return {fold(text) for text in (column.header, *column.synonyms)}


def _value(column: Column, text: str) -> Any:
    """What the cell says; None for what cannot be read, which is taken for an instruction."""
    try:
        return plain(reader(column)(text))
    except Unreadable:
        return None
