"""Excel workbooks: their sheets are streamed row by row; output holds text cells only.

Reading goes over the sheet's XML itself: a reader that holds the sheet needs memory in proportion to its rows.
Office Open XML, ECMA-376 part 1, 18.3.  https://ecma-international.org/publications-and-standards/standards/ecma-376/
"""

import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import IO, BinaryIO, Final

import xlsxwriter
from lxml import etree

from fhir_server.ecm.files.format import MAX_COLUMNS, Budget, Format, NumberedRow, Opening, refused
from fhir_server.ecm.files.formats._workbook import (
    Element,
    Sheet,
    Workbook,
    elements,
    open_workbook,
    release,
    text_of,
    unescape,
)
from fhir_server.ecm.files.layouts.types import fold

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_SPOOL: Final = 4 << 20
_CHUNK: Final = 1 << 16
_MAX_ROWS: Final = 1_048_576
_LETTERS: Final = re.compile(r"([A-Z]{1,3})[0-9]+")
_TRUE: Final = frozenset({"1", "true"})
_ROWS_ABOVE: Final = 20
_EXACT: Final = 10**15  # beyond it a spreadsheet's number no longer holds every digit
_DAMAGE: Final = (zipfile.BadZipFile, zlib.error, etree.XMLSyntaxError, EOFError, KeyError, ValueError, TypeError)

Reader = Callable[[Element], str]


def check(head: bytes) -> None:
    """Nothing when the first bytes are those of a zip; Unprocessable for a password, an old .xls or something else."""
    if head.startswith(_OLE):
        raise refused("The workbook is protected by a password or is an old .xls. Save it as .xlsx without a password.")
    if not head.startswith(_ZIP):
        raise refused("The file is declared as a workbook but is none. Save it as .xlsx.")


def read(stream: BinaryIO, opening: Opening | None = None) -> Iterator[NumberedRow]:
    """(row number, cells) of every row that is not blank, hidden rows included; Unprocessable when damaged.

    Without `opening` the first visible sheet is read; with it every visible sheet that has the header, see Format.
    """
    number = 0
    try:
        with ExitStack() as stack:
            book = open_workbook(stream, stack)
            for number, cells in _sheets_of(book, opening):
                yield number, cells
    except _DAMAGE:
        raise refused(f"The workbook is damaged after row {number}. Save and send it again.") from None


def _sheets_of(book: Workbook, opening: Opening | None) -> Iterator[NumberedRow]:
    visible = [sheet for sheet in book.sheets if sheet.visible]
    if opening is None:
        yield from _rows_of(book, visible[0], Opening(_never))
        return
    headers = {sheet.part: _header_of(book, sheet, opening) for sheet in book.sheets}
    chosen = [sheet for sheet in visible if headers[sheet.part]] or visible[:1]
    opening.mended += _said_of_sheets(book, chosen, [sheet for sheet in book.sheets if headers[sheet.part]])
    first, last = headers[chosen[0].part], 0
    for number, cells in _rows_of(book, chosen[0], opening):
        last = number
        yield number, cells
    for sheet in chosen[1:]:
        before = last
        for last, cells in _continued(book, sheet, headers[sheet.part], first, before):
            yield last, cells


def _said_of_sheets(book: Workbook, chosen: Sequence[Sheet], with_header: Sequence[Sheet]) -> Iterator[str]:
    """What the sender should know of the sheets that were read and of those that were not."""
    if len(book.sheets) > 1:
        yield f"Of {len(book.sheets)} sheets these were read: {'; '.join(sheet.name for sheet in chosen)}."
    for sheet in with_header:
        if not sheet.visible:
            yield f"The hidden sheet {sheet.name} looks like a table of this kind and was not read."


def _never(_cells: Sequence[str], _above: Sequence[str]) -> bool:
    return False


def _header_of(book: Workbook, sheet: Sheet, opening: Opening) -> NumberedRow | None:
    """The row of the sheet that is the header, if it is one of the first."""
    above: list[str] = []
    for number, cells in islice(_rows_of(book, sheet, Opening(_never)), _ROWS_ABOVE):
        if opening.is_header(cells, above):
            return number, cells
        above = cells
    return None


def _continued(
    book: Workbook, sheet: Sheet, header: NumberedRow | None, first: NumberedRow | None, after: int
) -> Iterator[NumberedRow]:
    """The rows below a further sheet's header, in the order of the first one's and counted on from `after`."""
    if header is None or first is None:
        return
    own = [fold(cell) for cell in header[1]]
    places = [own.index(name) if (name := fold(cell)) and name in own else -1 for cell in first[1]]
    for number, cells in _rows_of(book, sheet, Opening(_never)):
        if number > header[0]:
            yield after + number, [cells[at] if 0 <= at < len(cells) else "" for at in places]


def _rows_of(book: Workbook, sheet: Sheet, opening: Opening) -> Iterator[NumberedRow]:
    with book.archive.open(sheet.part) as part:
        for number, cells in _rows(part, _cell_reader(book), opening):
            if any(map(str.strip, cells)):
                yield number, cells


def write(rows: Iterable[Sequence[str]]) -> Iterator[bytes]:
    """The workbook in chunks of bytes; every cell is text, so nothing in it can be a formula, a link or a number."""
    with SpooledTemporaryFile(max_size=_SPOOL) as target:
        book = xlsxwriter.Workbook(target, {"constant_memory": True, "strings_to_formulas": False})
        book.set_properties({"created": datetime(2000, 1, 1)})  # noqa: DTZ001 - equal rows give equal bytes
        sheet = book.add_worksheet()
        text = book.add_format({"num_format": "@"})
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                if cell:
                    sheet.write_string(number, column, cell, text)
        book.close()
        target.seek(0)
        while chunk := target.read(_CHUNK):
            yield chunk


def _rows(part: IO[bytes], read_cell: Reader, opening: Opening) -> Iterator[NumberedRow]:
    budget = Budget()
    number = width = hidden = 0
    for element in elements(part, "col", "row", "sheetData", budget=budget):
        if element.tag.endswith("}col"):
            opening.hidden.update(_hidden(element))
            continue
        if not element.tag.endswith("}row"):
            break  # what follows the rows (filters, links, validations) is of no interest
        hidden += element.get("hidden") in _TRUE
        number = int(element.get("r") or number + 1)
        if number > _MAX_ROWS:
            raise refused(f"The sheet has more than {_MAX_ROWS} rows.")
        cells = _cells(element, read_cell, width)
        width = len(cells)
        yield number, cells
        release(element)
        budget.renew()
    if hidden:
        opening.mended.append(f"{hidden} rows that a filter or the sender had hidden were read.")


def _hidden(column: Element) -> range:
    """The columns, counted from 0, that this element of the sheet hides."""
    if column.get("hidden") not in _TRUE:
        return range(0)
    return range(int(column.get("min", "1")) - 1, min(int(column.get("max", "1")), MAX_COLUMNS))


def _cells(row: Element, read_cell: Reader, width: int) -> list[str]:
    """The cells from column A on, as many as the widest row before, with "" where the sheet leaves one out."""
    cells: list[str] = []
    for element in row:
        place = element.get("r")
        column = _column(place.rstrip("0123456789")) if place else len(cells)
        text = read_cell(element)
        if not text:
            continue
        if column >= MAX_COLUMNS:
            raise refused(f"The sheet has more than {MAX_COLUMNS} columns.")
        if column < len(cells):
            cells[column] = text
            continue
        while len(cells) < column:
            cells.append("")
        cells.append(text)
    if len(cells) < width:
        cells.extend([""] * (width - len(cells)))
    return cells


@lru_cache(maxsize=1024)
def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _cell_reader(book: Workbook) -> Reader:
    """The text of one cell by its type: shared, inline, truth value, number or date."""
    dates = {str(style) for style in book.date_styles}
    epoch = date(1904, 1, 1) if book.counts_from_1904 else date(1899, 12, 30)
    as_date = lru_cache(maxsize=4096)(lambda value: _day(value, epoch))
    shared = book.shared

    def read_cell(cell: Element) -> str:
        kind = cell.get("t")
        if kind == "inlineStr":
            return text_of(cell[0]) if len(cell) else ""
        value = next((child.text for child in cell if child.tag[-2:] == "}v"), None)
        if value is None:
            return ""
        if kind == "s":
            return shared(int(value))
        if kind is None or kind == "n":
            return as_date(value) if cell.get("s") in dates else _number(value)
        if kind == "b":
            return "Y" if value == "1" else "N"
        return unescape(value)

    return read_cell


def _number(value: str) -> str:
    """Digits as written; an identifier that became a float (1.23E9, 123.0) is whole again."""
    if value.isdigit():
        return value
    try:
        number = float(value)
    except ValueError:
        return value
    return str(int(number)) if number.is_integer() and abs(number) < _EXACT else value


def _day(value: str, epoch: date) -> str:
    try:
        days = float(value)
        return (epoch + timedelta(days=int(days))).isoformat()
    except (ValueError, OverflowError):
        return value


FORMAT: Final = Format(
    name="xlsx",
    media_types=("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",),
    suffix="xlsx",
    pads=True,
    check=check,
    open=read,
    write=write,
)
