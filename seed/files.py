"""Member Information Files: the rows of a plan, good and bad, written as CSV, pipe-delimited text and XLSX.

The column headers are those of the Member Information File layout; a plan may map its own.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random

import xlsxwriter

from seed import numbers, world
from seed.members import Member

Row = dict[str, str]
FORMATS = ("csv", "pipe", "xlsx")
SUFFIX = {"csv": "csv", "pipe": "txt", "xlsx": "xlsx"}
UNKNOWN_NPI = numbers.npi(99_000_001)


def _yes(value: object) -> str:
    return "Y" if value else "N"


Cell = Callable[[Member, world.Organization, world.Organization, date], object]

# Column header -> what stands in it, in the order of the layout.
COLUMNS: dict[str, Cell] = {
    "MIF Production Date": lambda _, __, ___, day: day,
    "MIF Reporting Period": lambda _, __, ___, day: f"{day:%Y-%m}",
    "Primary Payer (MCP) Identifier": lambda _, plan, __, ___: plan.plan_code,
    "MCP Name": lambda _, plan, __, ___: plan.name,
    "Member Client Index Number (CIN)": lambda one, *_: one.cin,
    "Medical Record Number (MRN)": lambda one, *_: one.mrn,
    "Member First Name": lambda one, *_: one.given,
    "Member Last Name": lambda one, *_: one.family,
    "Member Date of Birth": lambda one, *_: one.birth,
    "Member Gender": lambda one, *_: one.gender,
    "Member Homelessness Indicator": lambda one, *_: _yes(one.homeless),
    "Member Residential Address": lambda one, *_: one.line,
    "Member Residential City": lambda one, *_: one.city,
    "Member Residential Zip": lambda one, *_: one.zip,
    "Member Phone Number": lambda one, *_: one.phone,
    "Member Email": lambda one, *_: one.email,
    "Member Preferred Language (Spoken)": lambda one, *_: one.language,
}


def header() -> list[str]:
    """The column headers in order."""
    return list(COLUMNS)


def row(member: Member, as_of: date) -> Row:
    """One member's row."""
    plan, provider = world.by_key()[member.plan], world.by_key()[member.provider]
    return {name: str(cell(member, plan, provider, as_of)) for name, cell in COLUMNS.items()}


@dataclass(frozen=True)
class Fault:
    """One way in which a row can be bad, and what the import must say about it."""

    name: str
    outcome: str  # rejected | accepted-with-warnings
    column: str
    code: str
    value: str


FAULTS: tuple[Fault, ...] = ()


def faulty(good: Row, fault: Fault, other: Row) -> Row:
    """A good row made bad; `other` is a row that stands earlier in the file, for a member who comes twice."""
    if fault.code == "duplicate-member":
        return good | {fault.column: other[fault.column]}
    return good | {fault.column: fault.value}


@dataclass(frozen=True)
class Sample:
    """The rows of a sample file, and what must become of each."""

    rows: list[Row]
    expected: list[dict[str, object]]


def sample(seed: int, known: Sequence[Member], strangers: Iterator[Member], as_of: date, size: int = 500) -> Sample:
    """`size` rows, 3 % of them bad: the known members as they are, new ones, and the faults spread among them."""
    random = Random(seed * 31 + size)
    bad = sorted(random.sample(range(size // 10, size), len(FAULTS)))
    good = iter([*known, *(next(strangers) for _ in range(size - len(known)))])
    rows: list[Row] = []
    expected: list[dict[str, object]] = []
    faults = dict(zip(bad, FAULTS, strict=True))
    for place in range(size):
        facts, fault = row(next(good), as_of), faults.get(place)
        found: dict[str, object] = {"row": place + 2, "outcome": "accepted"}
        if fault:
            facts = faulty(facts, fault, rows[0])
            found |= {"outcome": fault.outcome, "column": fault.column, "code": fault.code, "fault": fault.name}
        rows.append(facts)
        expected.append(found)
    return Sample(rows, expected)


def write(path: Path, rows: Iterable[Row], kind: str) -> None:
    """Write rows as `kind` (csv, pipe or xlsx) without holding them."""
    if kind == "xlsx":
        _write_workbook(path, rows)
    else:
        _write_text(path, rows, "," if kind == "csv" else "|")


def _write_text(path: Path, rows: Iterable[Row], delimiter: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
        writer.writerow(header())
        for cells in rows:
            writer.writerow(cells.values())


def _write_workbook(path: Path, rows: Iterable[Row]) -> None:
    with xlsxwriter.Workbook(str(path), {"constant_memory": True}) as book:
        book.set_properties({"title": "Member Information File", "created": datetime(2026, 1, 1, tzinfo=UTC)})
        sheet = book.add_worksheet("Members")
        for column, name in enumerate(header()):
            sheet.write_string(0, column, name)
        for count, cells in enumerate(rows, 1):
            for column, value in enumerate(cells.values()):
                sheet.write_string(count, column, value)
