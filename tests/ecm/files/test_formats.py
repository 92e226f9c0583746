"""File formats: what is read and refused, and what can never run as a formula."""

import io
import zipfile
from collections.abc import Iterable

import pytest
import python_calamine
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.ecm.files import format as limits
from fhir_server.ecm.files.formats import FORMATS, detect
from fhir_server.ecm.files.formats._formula import defuse, restore
from fhir_server.fhir.errors import FHIRError, TooLarge, Unprocessable, UnsupportedMedia
from tests.laws import examples

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
DANGEROUS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\x00=1", " =1", "'=1", "\uff1d1", "=cmd|' /C calc'!A0"]


def written(form: str, rows: Iterable[list[str]]) -> bytes:
    return b"".join(FORMATS[form].write(rows))


def rows_of(form: str, body: bytes) -> list[tuple[int, list[str]]]:
    return list(FORMATS[form].open(io.BytesIO(body)))


def package(parts: dict[str, bytes], **more: bytes) -> bytes:
    """A minimal workbook, some parts replaced or added."""
    kinds = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    relations = "http://schemas.openxmlformats.org/package/2006/relationships"
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    base = {
        "[Content_Types].xml": b"<Types/>",
        "_rels/.rels": f'<Relationships xmlns="{relations}"><Relationship Id="r1" Type="{kinds}/officeDocument"'
        ' Target="xl/workbook.xml"/></Relationships>'.encode(),
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{kinds}"><sheets>'
        '<sheet name="A" sheetId="1" r:id="r1"/></sheets></workbook>'.encode(),
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{relations}"><Relationship Id="r1"'
        f' Type="{kinds}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>'.encode(),
        "xl/worksheets/sheet1.xml": sheet(b'<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c></row>'),
    }
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in (base | parts | more).items():
            archive.writestr(name, body)
    return target.getvalue()


def sheet(data: bytes, before: bytes = b"") -> bytes:
    main = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return before + b'<worksheet xmlns="' + main + b'"><sheetData>' + data + b"</sheetData></worksheet>"


def refusal(form: str, body: bytes) -> FHIRError:
    """The error of checking and reading a file that must be refused."""
    with pytest.raises(FHIRError) as failure:
        checked_rows(form, body)
    return failure.value


def checked_rows(form: str, body: bytes) -> list[tuple[int, list[str]]]:
    FORMATS[form].check(body[:4096])
    return rows_of(form, body)


PRINTABLE = st.text(st.characters(codec="utf-8", exclude_characters="\ufffe\uffff"), max_size=20)


@pytest.mark.parametrize("form", list(FORMATS))
@settings(max_examples=examples(25), deadline=None)
@given(rows=st.lists(st.lists(PRINTABLE, min_size=1, max_size=5), min_size=1, max_size=5))
def test_what_is_written_is_read_again(form, rows):
    """load(dump(row)) == row for every text a cell can hold, in every format; blank rows are passed over."""
    wanted = [(number, row) for number, row in enumerate(rows, 1) if any(map(str.strip, row))]
    found = [(number, cells) for number, cells in rows_of(form, written(form, rows))]
    assert [number for number, _ in found] == [number for number, _ in wanted]
    for (_, cells), (_, row) in zip(found, wanted, strict=True):
        assert stripped(cells) == stripped(row)


def stripped(cells: list[str]) -> list[str]:
    while cells and not cells[-1]:
        cells = cells[:-1]
    return cells


@given(st.text(max_size=12) | st.sampled_from(DANGEROUS))
def test_defusing_is_undone_exactly(text):
    assert restore(defuse(text)) == text
    assert not defuse(text).startswith(tuple("=+-@\t\r\n\x00"))


@pytest.mark.parametrize("form", ["csv", "pipe"])
def test_no_cell_of_a_text_file_is_a_formula(form):
    """T20: fields starting with = + - @ tab CR NUL get a leading apostrophe."""
    body = written(form, [[text] for text in DANGEROUS])
    cells = [cells[0] for cells in _plain(body)]
    assert len(cells) == len(DANGEROUS)
    assert all(cell.startswith("'") for cell in cells)
    assert [row[1][0] for row in rows_of(form, body)] == DANGEROUS


def _plain(body: bytes) -> list[list[str]]:
    import csv  # noqa: PLC0415 - the standard library's reader as a spreadsheet would read

    return list(csv.reader(io.StringIO(body.decode(), newline="")))


def test_every_cell_of_a_workbook_is_text():
    """T20: XLSX cells written as text: no formula, no link, no number, in any part of the package."""
    body = written("xlsx", [[*DANGEROUS, "123", "http://example.org", "mailto:a@b.c", "TRUE"]])
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert not [name for name in archive.namelist() if "externalLink" in name or "hyperlink" in name]
        xml = archive.read("xl/worksheets/sheet1.xml")
    assert xml.count(b'<c r="') == xml.count(b't="inlineStr"') == len(DANGEROUS) + 4
    assert b"<f>" not in xml
    assert b"hyperlink" not in xml


def test_our_reading_of_a_workbook_equals_another_reader():
    """The oracle is calamine: shared and inline strings, numbers, truth values, dates, gaps."""
    target = io.BytesIO()
    book = xlsxwriter.Workbook(target)
    page = book.add_worksheet()
    date, code = book.add_format({"num_format": "yyyy-mm-dd"}), book.add_format({"num_format": '0 "days"'})
    page.write_row(0, 0, ["CIN", "Name", "Date", "Number", "Yes", "Formula", "Rich"])
    page.write_string(2, 0, "91234567A")
    page.write_number(2, 2, 46204, date)
    page.write_number(2, 3, 1234567893)
    page.write_boolean(2, 4, True)
    page.write_formula(2, 5, "=1+1", None, 2)
    page.write_rich_string(2, 6, "a", book.add_format({"bold": True}), "b", "c")
    page.write_number(3, 3, 12.5, code)
    page.write_string(3, 0, "x_x0041_y")
    book.close()
    ours = rows_of("xlsx", target.getvalue())
    assert [number for number, _ in ours] == [1, 3, 4]
    assert ours[1][1] == ["91234567A", "", "2026-07-01", "1234567893", "Y", "2", "abc"]
    theirs = (
        python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(target.getvalue())).get_sheet_by_index(0).to_python()
    )
    assert [str(cell) for cell in theirs[2]] == ["91234567A", "", "2026-07-01", "1234567893.0", "True", "2.0", "abc"]
    assert ours[2][1] == ["x_x0041_y", "", "", "12.5", "", "", ""]


def test_the_first_visible_sheet_is_read_and_days_may_count_from_1904():
    target = io.BytesIO()
    book = xlsxwriter.Workbook(target, {"date_1904": True})
    hidden, page = book.add_worksheet(), book.add_worksheet()
    page.activate()
    page.set_first_sheet()
    hidden.hide()
    hidden.write(0, 0, "hidden")
    page.write_number(0, 0, 0, book.add_format({"num_format": 14}))
    book.close()
    assert rows_of("xlsx", target.getvalue()) == [(1, ["1904-01-01"])]


@pytest.mark.parametrize(
    ("media_type", "name", "form"),
    [
        ("text/csv", "", "csv"),
        ("text/csv; charset=UTF-8", "x.xlsx", "csv"),
        ("text/plain", "", "pipe"),
        ("", "June.CSV", "csv"),
        ("application/octet-stream", "june.txt", "pipe"),
        (XLSX, "", "xlsx"),
    ],
)
def test_the_declaration_chooses_the_format(media_type, name, form):
    head = {"csv": b"CIN,Name", "pipe": b"CIN|Name", "xlsx": b"PK\x03\x04"}[form]
    assert detect(media_type, name, head).name == form


@pytest.mark.parametrize(
    ("media_type", "head", "size", "error", "status", "code"),
    [
        ("text/csv", b"CIN|Name|DOB\n", None, Unprocessable, 422, "structure"),
        ("text/csv", b"CIN;Name;DOB\n", None, Unprocessable, 422, "structure"),
        ("text/plain", b"CIN\tName\n", None, Unprocessable, 422, "structure"),
        ("text/csv", "CIN,Name".encode("utf-16"), None, Unprocessable, 422, "structure"),
        ("text/csv", "CIN,Name".encode("utf-16-le"), None, Unprocessable, 422, "structure"),
        ("text/csv", b"", None, Unprocessable, 422, "structure"),
        ("text/csv", b"PK\x03\x04", None, Unprocessable, 422, "structure"),
        ("text/csv", b"\x1f\x8b\x08", None, Unprocessable, 422, "structure"),
        (XLSX, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", None, Unprocessable, 422, "structure"),
        (XLSX, b"CIN,Name", None, Unprocessable, 422, "structure"),
        ("text/csv", b"CIN,Name", 2 << 30, TooLarge, 413, "too-long"),
        ("application/pdf", b"%PDF", None, UnsupportedMedia, 415, "not-supported"),
        ("text/csv; charset=utf-16", b"CIN,Name", None, UnsupportedMedia, 415, "not-supported"),
        ("application/vnd.ms-excel.sheet.macroEnabled.12", b"PK\x03\x04", None, UnsupportedMedia, 415, "not-supported"),
        ("", b"CIN,Name", None, UnsupportedMedia, 415, "not-supported"),
    ],
)
def test_what_is_not_as_declared_is_refused(media_type, head, size, error, status, code):
    """Catalogue row 107: 422 structure, 413 for size, 415 for type."""
    with pytest.raises(error) as failure:
        detect(media_type, "", head, size)
    assert (failure.value.status, failure.value.issues[0].code) == (status, code)


@pytest.mark.parametrize(
    "body",
    [
        b'a,b\n"x,1\n',
        b'a,b\n"x"y,1\n',
        "a,b\nñ,1\n".encode() + b"\xff\xfe,1\n",
        b"a,b\n\x81\x8d,1\n",
        b"a,b\n" + b"x" * (limits.MAX_RECORD + 10) + b",1\n",
        b"a,b\n" + b"," * 600 + b"\n",
        b'a,b\n"' + b"x\n" * 200_000 + b'",1\n',
    ],
    ids=[
        "open quote",
        "text after quote",
        "no longer UTF-8",
        "no text",
        "endless line",
        "many columns",
        "endless quoted cell",
    ],
)
def test_broken_text_is_refused(body):
    """Catalogue row 107: a broken file says after which row."""
    found = refusal("csv", body)
    assert (found.status, found.issues[0].code) == (422, "structure")
    assert "ow" in found.issues[0].diagnostics
    assert len(found.issues[0].diagnostics) < 200


def test_a_byte_order_mark_and_every_end_of_line_are_read():
    assert rows_of("csv", "\ufeffa,b\r\n1,2\r\r3,4\n".encode()) == [(1, ["a", "b"]), (2, ["1", "2"]), (4, ["3", "4"])]


def test_the_minimal_workbook_of_these_tests_is_readable():
    assert rows_of("xlsx", package({})) == [(1, ["a"])]


ENTITIES = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
EXTERNAL = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>'
CELL = b'<row r="1"><c r="A1" t="inlineStr"><is><t>%s</t></is></c></row>'
SHEET = "xl/worksheets/sheet1.xml"


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"xl/vbaProject.bin": b"x"}, "macros"),
        ({SHEET: sheet(b"<row>" + b"<c/>" * 3_000_000 + b"</row>")}, "unpacks"),
        ({"xl/media/zeros.bin": b"\x00" * (256 << 20)}, "unpacks"),
        ({f"xl/media/{number}.bin": b"" for number in range(1_001)}, "parts"),
        ({SHEET: sheet(CELL % b"&b;", ENTITIES)}, "document type"),
        ({SHEET: sheet(CELL % b"&e;", EXTERNAL)}, "document type"),
        ({SHEET: sheet(b'<row r="1"><c r="A1" t="s"><v>7</v></c></row>')}, "shared text"),
        ({SHEET: sheet(b'<row r="x"/>')}, "damaged"),
        ({SHEET: sheet(b'<row r="9999999"><c r="A1"><v>1</v></c></row>')}, "rows"),
        ({SHEET: sheet(b'<row r="1"><c r="ZZZ1"><v>1</v></c></row>')}, "columns"),
        ({SHEET: b"<worksheet"}, "damaged"),
        ({"xl/workbook.xml": b"<workbook/>"}, "visible sheet"),
        ({"_rels/.rels": b"<Relationships/>"}, "main part"),
        ({"xl/_rels/workbook.xml.rels": b"<Relationships/>"}, "damaged"),
    ],
)
def test_a_hostile_or_damaged_workbook_is_refused(parts, why):
    """T21 and catalogue row 107: ratio above 100, above 1,000 parts, macros, entities, damage."""
    found = refusal("xlsx", package(parts))
    assert (found.status, found.issues[0].code) == (422, "structure")
    assert why in found.issues[0].diagnostics


def test_a_row_without_end_is_refused_before_it_is_held():
    """T21: incompressible cells stay below the ratio; the budget of a row stops them."""
    cells = b"".join(b'<c r="A1" t="inlineStr"><is><t>%x</t></is></c>' % (n * 2_654_435_761) for n in range(120_000))
    found = refusal("xlsx", package({SHEET: sheet(b'<row r="1">' + cells + b"</row>")}))
    assert "One row" in found.issues[0].diagnostics


def test_a_truncated_or_foreign_zip_is_refused():
    body = package({})
    assert refusal("xlsx", body[: len(body) // 2]).status == 422
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "not a workbook" in refusal("xlsx", target.getvalue()).issues[0].diagnostics
