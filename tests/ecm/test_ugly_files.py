"""Files as they really come: each is generated here, and what becomes of every row, member and cell is exact."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from typing import Any

import pytest
import xlsxwriter

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.files.formats import FORMATS
from tests.ecm.files.world import rows_of, seen, send
from tests.ecm.scene import HEADERS, NPIS, Scene, as_csv, cin, npi, row, table

pytestmark = pytest.mark.heavy

NUMBERS = count(500_000, 20)
CSV, XLSX = "text/csv", FORMATS["xlsx"].media_types[0]
Rows = list[dict[str, str]]


@dataclass
class Ugly:
    """A file and what must become of it. outcomes: outcome and code of every row; seen: by the clinic."""

    body: bytes
    outcomes: list[tuple[str, str]]
    seen: list[int]
    kind: str = CSV
    mended: list[dict[str, Any]] = field(default_factory=list)
    phone: str = "6195550101"
    born: str = "1984-05-02"
    family: str = ""


def book(fill: Callable[[Any], None], **options: Any) -> bytes:
    """A workbook that `fill` has written."""
    target = io.BytesIO()
    made = xlsxwriter.Workbook(target, options)
    fill(made)
    made.close()
    return target.getvalue()


def put(sheet: Any, rows: Sequence[Sequence[Any]], top: int = 0) -> None:
    for at, cells in enumerate(rows, top):
        for column, cell in enumerate(cells):
            if isinstance(cell, (int, float)):
                sheet.write_number(at, column, cell)
            elif cell:
                sheet.write_string(at, column, cell)


OK = ("accepted", "")


def windows_1252(n: int) -> Ugly:
    rows = [row(n, **{"Last Name": "Muñoz"}), row(n + 1, **{"First Name": "Zoë"})]
    body = as_csv(rows).decode().encode("cp1252")
    return Ugly(
        body, [OK, OK], [n, n + 1], mended=[{"what": "The text was in Windows-1252, not in UTF-8."}], family="Muñoz"
    )


def several_sheets(n: int) -> Ugly:
    """Instructions first, one county a sheet, columns in another order, and a hidden draft of the same table."""

    def fill(made: Any) -> None:
        put(made.add_worksheet("Read me"), [["How to fill in this workbook"], ["CIN", "nine characters"]])
        put(made.add_worksheet("Alameda"), table([row(n)]))
        put(made.add_worksheet("Fresno"), table([row(n + 1), row(n + 2)], tuple(reversed(HEADERS))))
        draft = made.add_worksheet("Draft")
        put(draft, table([row(n + 3)]))
        draft.hide()

    told = [
        {"what": "Of 4 sheets these were read: Alameda; Fresno."},
        {"what": "The hidden sheet Draft looks like a table of this kind and was not read."},
    ]
    return Ugly(book(fill), [OK] * 3, [n, n + 1, n + 2], XLSX, told)


def merged_titles(n: int) -> Ugly:
    """Instructions, a title, and group names merged over the header names."""

    def fill(made: Any) -> None:
        sheet = made.add_worksheet("Members")
        put(sheet, [["Instructions: one row per member"], [], ["Dates as MM/DD/YYYY", "Y or N"]])
        for first, last, name in ((0, 0, ""), (1, 3, "Member"), (4, 4, "ECM Provider"), (5, 5, "PCP")):
            sheet.merge_range(4, first, 4, last, name) if last > first else sheet.write(4, first, name)
        put(sheet, [["CIN", "Last Name", "First Name", "Date of Birth", "NPI", "NPI"]], 5)
        put(sheet, [[cin(n), "Family", "Given", "05/02/1984", NPIS["clinic"], npi(900)]], 6)

    told = [{"what": "Headers were completed by the merged titles above them."}]
    return Ugly(book(fill), [OK], [n], XLSX, told, phone="")


def numbers_of_a_spreadsheet(n: int) -> Ugly:
    """Identifiers as numbers, dates as day numbers, styled and not, a county without its zero."""

    def fill(made: Any) -> None:
        sheet, day = made.add_worksheet(), made.add_format({"num_format": "m/d/yyyy"})
        headers = ["CIN", "Last Name", "First Name", "DOB", "Phone", "Zip", "County", "NPI", "Assignment Date"]
        serial = (date(1984, 5, 2) - date(1899, 12, 30)).days
        put(sheet, [headers])
        put(sheet, [[cin(n), "F", "G", serial, 6195550101, 92101, 1, int(NPIS["clinic"])]], 1)
        sheet.write_datetime(1, 8, date(2026, 1, 15), day)

    told = [
        {"what": "A leading zero was restored.", "column": "Member County", "rows": 1},
        {"what": "The day number of a spreadsheet was read as a date.", "column": "Member Date of Birth", "rows": 1},
    ]
    return Ugly(book(fill), [("accepted", "mended; mended")], [n], XLSX, told)


def floats_in_text(n: int) -> Ugly:
    """1.23456789E8 and 123.0: what a program makes of identifiers that it takes for numbers."""
    floating = f"{float(NPIS['clinic']):.9E}".replace("E+0", "E")
    cells = {"ECM Provider NPI": floating, "Phone": "6195550101.0", "Zip": "92101.0"}
    told = [
        {"what": "A number in floating point was made an identifier again.", "column": name, "rows": 1}
        for name in ("ECM Provider NPI", "Member Phone Number", "Member Residential Zip")
    ]
    return Ugly(as_csv([row(n, **cells)]), [("accepted", "mended; mended; mended")], [n], mended=told)


def digits_that_are_lost(n: int) -> Ugly:
    """6.19555E+09 was a number once: nobody can say which. ZIP 2101 in California has lost a digit, not a zero."""
    rows = [
        row(n, Phone="6.19555E+09"), row(n + 1, **{"ECM Provider NPI": "1.00E+09"}), row(n + 2, Zip="2101"),
    ]  # fmt: skip
    outcomes = [
        ("accepted-with-warnings", "bad-phone"), ("rejected", "bad-npi"), ("accepted-with-warnings", "mended; bad-zip"),
    ]  # fmt: skip
    told = [{"what": "A leading zero was restored.", "column": "Member Residential Zip", "rows": 1}]
    return Ugly(as_csv(rows), outcomes, [n, n + 2], mended=told, phone="")


def filtered_view(n: int) -> Ugly:
    """Rows that a filter hides are members, too; a hidden column that repeats a visible one is not read."""

    def fill(made: Any) -> None:
        sheet = made.add_worksheet()
        put(sheet, [[*HEADERS, "Last Name"], *([*cells, "Former"] for cells in table([row(n), row(n + 1)])[1:])])
        sheet.autofilter(0, 0, 2, len(HEADERS))
        sheet.set_row(2, options={"hidden": True})
        sheet.set_column(len(HEADERS), len(HEADERS), options={"hidden": True})

    told = [
        {"what": "Hidden columns that repeat a visible one were passed over."},
        {"what": "1 rows that a filter or the sender had hidden were read."},
    ]
    return Ugly(book(fill), [OK, OK], [n, n + 1], XLSX, told, family=f"Family{n}")


def blanks_everywhere(n: int) -> Ugly:
    """A byte order mark, blank rows and columns, blanks around cells, rows of blanks at the end."""
    lines = as_csv([row(n), row(n + 1)]).decode().splitlines()
    blank = "," * (len(HEADERS) + 3)
    lines = [f"{line},,," for line in lines]
    body = "\ufeff" + "\r\n".join([blank, lines[0], blank, lines[1].replace(",", " , "), " , , ", lines[2], blank, ""])
    return Ugly(body.encode(), [OK, OK], [n, n + 1])


def cards_instead_of_numbers(n: int) -> Ugly:
    """BIC forms of 10 and 14 characters, small letters, blanks: the CIN is their first nine."""
    rows = [row(n, CIN=cin(n) + "7"), row(n + 1, CIN=cin(n + 1) + "71234"), row(n + 2, CIN=f" {cin(n + 2).lower()} ")]
    return Ugly(as_csv(rows), [OK] * 3, [n, n + 1, n + 2])


def ornate_headers(n: int) -> Ugly:
    """Line breaks, stars and double blanks in the headers, a remark column, quoted cells with line breaks."""
    ornate = {"Last Name": "Member\nLast  Name *", "CIN": "CIN (required)", "Date of Birth": "D.O.B."}
    sheet = table([row(n)])
    sheet[0] = [ornate.get(name, name) for name in sheet[0]]
    sheet[0][0] = "Client Index Number *"
    body = b"".join(FORMATS["csv"].write([[*sheet[0], "Our own remark"], [*sheet[1], "call\nbefore noon"]]))
    return Ugly(body, [OK], [n])


def cut_off(n: int) -> Ugly:
    """The connection broke in the middle of the last row: that row is not believed, the others are."""
    body = as_csv([row(n), row(n + 1), row(n + 2)])
    line = body.splitlines()[-1]
    cut = body[: body.index(line) + line.index(b"05/02/1984") + 4]
    return Ugly(cut, [OK, OK, ("rejected", "; ".join(["short-row", "bad-date", *["missing"] * 10]))], [n, n + 1])


def twins_and_newborns(n: int) -> Ugly:
    """One row twice, two providers for one member, and a newborn under the mother's number."""
    rows = [
        row(n), row(n), row(n, "street"), row(n + 1),
        row(n + 1, **{"Last Name": "Newborn", "First Name": "Baby", "Date of Birth": "01/10/2026"}),
    ]  # fmt: skip
    outcomes = [
        OK, ("rejected", "duplicate-member"), ("rejected", "duplicate-member"), OK, ("parked", "ambiguous-identity"),
    ]  # fmt: skip
    return Ugly(as_csv(rows), outcomes, [n, n + 1])


def rows_of_other_hands(n: int) -> Ugly:
    """A provider nobody knows waits; an NPI with a wrong digit, and no NPI, are the sender's to correct."""
    rows = [
        row(n), row(n + 1, **{"ECM Provider NPI": npi(998)}), row(n + 2, **{"ECM Provider NPI": "1000001013"}),
        row(n + 3, **{"ECM Provider NPI": ""}),
    ]  # fmt: skip
    outcomes = [OK, ("parked", "unknown-provider"), ("rejected", "bad-npi"), ("rejected", "missing")]
    return Ugly(as_csv(rows), outcomes, [n])


def pipes_and_formulas(n: int) -> Ugly:
    """Pipes with quoted pipes, and cells that a spreadsheet would run."""
    rows = [row(n, Address="=HYPERLINK(1)|2", City="'+1")]
    return Ugly(as_csv(rows, delimiter="|"), [OK], [n], FORMATS["pipe"].media_types[0])


FILES = [
    windows_1252, several_sheets, merged_titles, numbers_of_a_spreadsheet, floats_in_text, digits_that_are_lost,
    filtered_view, blanks_everywhere, cards_instead_of_numbers, ornate_headers, cut_off, twins_and_newborns,
    rows_of_other_hands, pipes_and_formulas,
]  # fmt: skip


@pytest.mark.parametrize("make", FILES, ids=lambda make: make.__name__)
def test_an_ugly_file(world: Scene, make: Callable[[int], Ugly]) -> None:
    """R3 1, "What it must show" 1: outcome and code of every row, whom the provider sees, what was mended."""
    n = next(NUMBERS)
    ugly = make(n)
    _, done = send(world, ugly.body, "delta", ugly.kind)
    assert done.status_code == 200, done.text
    manifest = done.json()
    assert manifest["summary"]["rows"] == len(ugly.outcomes)
    url = manifest["output"][0]["url"]
    form = FORMATS[url.rpartition(".")[2].replace("txt", "pipe")]
    told = [cells for _, cells in form.open(io.BytesIO(world.plan.get(url).content))]
    assert told[0][-4:] == ["Outcome", "Code", "Message", "Advice"]
    found = [dict(zip(told[0][-4:], cells[len(told[0]) - 4 :], strict=False)) for cells in told[1:]]
    assert [(one.get("Outcome", ""), one.get("Code", "")) for one in found] == ugly.outcomes
    assert [bool(one.get("Message")) for one in found] == [bool(code) for _, code in ugly.outcomes]
    assert manifest["mended"] == ugly.mended
    assert seen(world, list(range(n, n + 5)), "clinic")["clinic"] == ugly.seen
    patient = world.member(world.clinic, ugly.seen[0])
    assert [one["value"] for one in patient.get("telecom", [])] == [ugly.phone] * bool(ugly.phone)
    assert patient["birthDate"] == ugly.born
    assert not ugly.family or patient["name"][0]["family"] == ugly.family


def test_two_populations_on_two_rows(world: Scene) -> None:
    """R3 1: rows of one member fold into one with several facts; the same file again changes nothing."""
    n = next(NUMBERS)
    spans = [
        {"POF": "smh-sud", "Authorization Start Date": "01/01/2026", "Authorization End Date": "06/30/2026"},
        {"POF": "birth-equity", "Authorization Start Date": "07/01/2026", "Authorization End Date": "12/31/2099"},
    ]
    headers = (*HEADERS, "Authorization Number", "Plan Code")
    rows = [
        row(n, **spans[0], **{"Authorization Number": "A1", "Plan Code": "301"}),
        *(row(n + other, **{"Plan Code": "301"}) for other in range(1, 4)),
        row(n, **spans[1], **{"Authorization Number": "A2", "Plan Code": "302"}, Phone="619-555-0155"),
    ]
    done = send(world, as_csv(rows, headers), "delta")[1].json()
    assert (done["summary"]["new"], done["summary"]["accepted"], done["summary"]["warnings"]) == (4, 4, 1)
    assert [one["Code"] for one in rows_of(world, done, "response")] == ["", "", "", "", "conflicting-rows"]
    patient = world.member(world.clinic, n)
    assert patient["telecom"][0]["value"] == "6195550155"
    entry = next(
        one for one in world.roster(world.clinic)["member"] if one["entity"]["reference"] == f"Patient/{patient['id']}"
    )
    codes = [
        one["valueCodeableConcept"]["coding"][0]["code"]
        for one in entry["extension"]
        if one["url"] == words.POPULATION_OF_FOCUS
    ]
    assert codes == ["birth-equity", "smh-sud"]
    assert entry["period"] == {"start": "2026-01-01", "end": "2099-12-31"}
    authorizations = [one for one in entry["extension"] if one["url"] == words.AUTHORIZATION]
    numbers = [part["valueString"] for one in authorizations for part in one["extension"] if part["url"] == "number"]
    assert numbers == ["A1", "A2"]
    before = world.versions()
    again = send(world, as_csv([rows[4], *rows[1:4], rows[0] | {"Phone": "619-555-0155"}], headers), "delta")[1].json()
    assert (again["summary"]["unchanged"], again["summary"]["changed"]) == (4, 0)
    assert world.versions() == before


def test_a_site_and_its_billing_number_are_one_contract(world: Scene) -> None:
    """R3 1: a site without a system of its own stands for the organization it is part of under one TIN."""
    n, tin = next(NUMBERS), {"system": words.TIN, "value": "95-1234567"}
    clinic = world.clinic.get("Organization/clinic").json()
    if tin not in clinic["identifier"]:
        clinic["identifier"].append(tin)
        assert world.clinic.put("Organization/clinic", clinic).status_code == 200
    site = npi(850 + n % 100)
    entry = {
        "resourceType": "Organization", "name": "Clinic, north", "active": True,
        "identifier": [{"system": words.NPI, "value": site}, tin], "partOf": {"reference": "Organization/clinic"},
    }  # fmt: skip
    assert world.plan.post("Organization", entry).status_code == 201
    headers = (*HEADERS, "TIN")
    rows = [row(n, TIN="951234567"), row(n + 1, TIN="951234567", **{"ECM Provider NPI": site})]
    wrong = row(n + 2, TIN="951234568", **{"ECM Provider NPI": site})
    done = send(world, as_csv([*rows, wrong], headers), "delta")[1].json()
    assert [one["provider"] for one in done["rosters"]] == ["Organization/clinic"]
    told = [(one["Outcome"], one["Code"]) for one in rows_of(world, done, "response")]
    assert told == [OK, OK, ("rejected", "wrong-tin")]
    assert seen(world, [n, n + 1, n + 2], "clinic", "street") == {"clinic": [n, n + 1], "street": []}


def test_a_plan_code_that_is_not_the_senders_opens_nothing(world: Scene) -> None:
    """R3 1: a file whose plan contradicts the contract opens no access; codes are compared as numbers."""
    n = next(NUMBERS)
    rows = [row(n, **{"Plan Code": "29"}), row(n + 1, **{"Plan Code": "031"})]
    done = send(world, as_csv(rows, (*HEADERS, "Plan Code")), "delta", **{"plan-code": "029"})[1].json()
    told = [(one["Outcome"], one["Code"]) for one in rows_of(world, done, "response")]
    assert told == [OK, ("rejected", "wrong-plan")]
    assert seen(world, [n, n + 1], "clinic")["clinic"] == [n]
