"""Excel workbooks: the first visible sheet is streamed row by row; output holds text cells only.

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
from tempfile import SpooledTemporaryFile
from typing import IO, BinaryIO, Final

import xlsxwriter
from lxml import etree

from fhir_server.ecm.files.format import MAX_COLUMNS, Budget, Format, NumberedRow, refused
from fhir_server.ecm.files.workbook import (
    Element,
    Workbook,
    elements,
    open_workbook,
    release,
    text_of,
    unescape,
)

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_SPOOL: Final = 4 << 20
_CHUNK: Final = 1 << 16
_MAX_ROWS: Final = 1_048_576
_LETTERS: Final = re.compile(r"([A-Z]{1,3})[0-9]+")
_EXACT: Final = 10**15  # beyond it a spreadsheet's number no longer holds every digit
_DAMAGE: Final = (zipfile.BadZipFile, zlib.error, etree.XMLSyntaxError, EOFError, KeyError, ValueError, TypeError)

Reader = Callable[[Element], str]


def check(head: bytes) -> None:
    """Nothing when the first bytes are those of a zip; Unprocessable for a password, an old .xls or something else."""
    if head.startswith(_OLE):
        raise refused("The workbook is protected by a password or is an old .xls. Save it as .xlsx without a password.")
    if not head.startswith(_ZIP):
        raise refused("The file is declared as a workbook but is none. Save it as .xlsx.")


def read(stream: BinaryIO) -> Iterator[NumberedRow]:
    """(row number, cells) of every row that is not blank in the first visible sheet; Unprocessable when damaged."""
    number = 0
    try:
        with ExitStack() as stack:
            book = open_workbook(stream, stack)
            part = stack.enter_context(book.archive.open(book.sheet))
            for number, cells in _rows(part, _cell_reader(book)):
                if any(cells):
                    yield number, cells
    except _DAMAGE:
        raise refused(f"The workbook is damaged after row {number}. Save and send it again.") from None


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


def _rows(part: IO[bytes], read_cell: Reader) -> Iterator[NumberedRow]:
    budget = Budget()
    number = width = 0
    for element in elements(part, "row", "sheetData", budget=budget):
        if not element.tag.endswith("}row"):
            return  # what follows the rows (filters, links, validations) is of no interest
        number = int(element.get("r") or number + 1)
        if number > _MAX_ROWS:
            raise refused(f"The sheet has more than {_MAX_ROWS} rows.")
        cells = _cells(element, read_cell, width)
        width = len(cells)
        yield number, cells
        release(element)
        budget.renew()


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
