"""Member Information Files: the rows of a plan, good and bad, written as CSV, pipe-delimited text and XLSX.

The column headers are those of the Member Information File layout; a plan may map its own.
"""

import csv
from collections.abc import Callable, Iterable, Iterator
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
FIRST_ROW = 2  # rows are counted as a spreadsheet shows them, the header being the first
UNKNOWN_NPI = numbers.npi(99_000_001)


@dataclass(frozen=True, slots=True)
class Line:
    """Of whom, by whom, to whom, and when: what the cells of one row are made from."""

    member: Member
    plan: world.Organization
    provider: world.Organization
    day: date


Cell = Callable[[Line], str]

NO_FIRST_NAME = "FNU"  # "first name unknown": how files carry people who have one name only
FOCUS = {
    "homeless-individuals": "Individuals Experiencing Homelessness",
    "homeless-families": "Families Experiencing Homelessness",
    "avoidable-hospital-ed": "Avoidable Hospital/ED",
    "smh-sud": "SMH/SUD",
    "incarceration-transition": "Justice Involved",
    "ltc-risk": "LTC Risk",
    "nursing-facility-transition": "Nursing Facility Transition",
    "ccs-additional-needs": "CCS/WCM",
    "child-welfare": "Child Welfare",
    "birth-equity": "Birth Equity",
}


def _day(value: date) -> str:
    return value.strftime("%m/%d/%Y")


def _yes(value: object) -> str:
    return "Y" if value else "N"


def _pcp(member: Member) -> int:
    return member.household % 3


# Column header -> what stands in it, in the order of the layout.
COLUMNS: dict[str, Cell] = {
    "Member Information File Production Date": lambda of: _day(of.day),
    "Member Information File Reporting Period": lambda of: of.day.strftime("%Y-%m"),
    "Primary Payer (MCP) Identifier": lambda of: of.plan.plan_code,
    "MCP Name": lambda of: of.plan.name,
    "MCP Contact Phone Number": lambda of: of.plan.phone,
    "Member Client Index Number (CIN)": lambda of: of.member.cin,
    "Plan Member ID": lambda of: of.member.member_id,
    "Medical Record Number (MRN)": lambda of: of.member.mrn,
    "Member Last Name": lambda of: of.member.family,
    "Member First Name": lambda of: of.member.given or NO_FIRST_NAME,
    "Member Date of Birth": lambda of: _day(of.member.birth),
    "Member Gender": lambda of: {"female": "F", "male": "M"}.get(of.member.gender, "X"),
    "Member Homelessness Indicator": lambda of: _yes(of.member.homeless),
    "Member Residential Address": lambda of: of.member.line,
    "Member Residential City": lambda of: of.member.city,
    "Member Residential State": lambda of: "CA" if of.member.city else "",
    "Member Residential Zip": lambda of: of.member.zip,
    "Member County": lambda of: str(world.places(of.plan.county)["county"]),
    "Member Phone Number": lambda of: of.member.phone,
    "Member Email": lambda of: of.member.email,
    "Member Preferred Language (Spoken)": lambda of: of.member.language,
    "Member Race": lambda of: of.member.race,
    "Member Ethnicity": lambda of: of.member.ethnicity,
    "Medi-Cal Renewal Date": lambda of: _day(of.member.renewal),
    "Member Dually Enrolled in Medicare": lambda of: _yes(of.member.dual),
    "PCP Name": lambda of: str(world.places(of.plan.county)["pcps"][_pcp(of.member)]),
    "PCP NPI": lambda of: numbers.npi(70_000_000 + of.plan.number * 10 + _pcp(of.member)),
    "PCP Phone Number": lambda of: numbers.phone(of.plan.phone[:3], 90 + _pcp(of.member)),
    "Guardian, Caregiver or Authorized Representative Name": lambda of: of.member.guardian,
    "Guardian, Caregiver or Authorized Representative Phone Number": lambda of: (
        of.member.phone if of.member.guardian else ""
    ),
    "Guardian, Caregiver or Authorized Representative Relationship": lambda of: of.member.guardian_relation,
    "ECM Provider Name": lambda of: of.provider.name,
    "ECM Provider NPI": lambda of: of.provider.npi,
    "ECM Provider Tax ID (TIN)": lambda of: of.provider.tin,
    "ECM Provider Phone Number": lambda of: of.provider.phone,
    "Member POF": lambda of: "; ".join(FOCUS[one] for one in of.member.focus),
    "ECM Authorization Start Date": lambda of: _day(of.member.begins),
    "ECM Authorization End Date": lambda of: _day(of.member.ends),
    "Authorization Number": lambda of: of.member.authorization,
    "New, Returning or Continuing Member": lambda of: "New" if of.member.change == "new" else "Continuing",
    "ECM Provider Assignment Date": lambda of: _day(of.member.assigned),
    "Assignment Source": lambda of: "Referral" if of.member.index % 4 == 0 else "Plan data",
    "Member Acuity Level": lambda of: of.member.acuity,
    "Pregnancy Indicator": lambda of: _yes("birth-equity" in of.member.focus),
    "CCS Indicator": lambda of: _yes("ccs-additional-needs" in of.member.focus),
    "Child Welfare Involvement": lambda of: _yes("child-welfare" in of.member.focus),
}


def header() -> list[str]:
    """The column headers in order."""
    return list(COLUMNS)


def row(member: Member, as_of: date) -> Row:
    """One member's row."""
    line = Line(member, world.by_key()[member.plan], world.by_key()[member.provider], as_of)
    return {name: cell(line) for name, cell in COLUMNS.items()}


@dataclass(frozen=True)
class Fault:
    """One way in which a row can be bad, and what the import must say about it."""

    name: str
    outcome: str  # rejected | parked | accepted-with-warnings
    column: str
    code: str
    value: str


CIN, BIRTH, PROVIDER = "Member Client Index Number (CIN)", "Member Date of Birth", "ECM Provider NPI"
FAULTS = (
    Fault("no CIN", "rejected", CIN, "missing", ""),
    Fault("CIN too short", "rejected", CIN, "bad-cin", "9123456A"),
    Fault("no last name", "rejected", "Member Last Name", "missing", ""),
    Fault("no date of birth", "rejected", BIRTH, "missing", ""),
    Fault("no such day", "rejected", BIRTH, "bad-date", "02/30/1985"),
    Fault("born after the file", "rejected", BIRTH, "bad-date", "01/15/2099"),
    Fault("no provider", "rejected", PROVIDER, "missing", ""),
    Fault("wrong check digit", "rejected", PROVIDER, "bad-npi", "2400222330"),
    Fault("provider not in the directory", "parked", PROVIDER, "unknown-provider", UNKNOWN_NPI),
    Fault("ends before it starts", "rejected", "ECM Authorization End Date", "end-before-start", "01/01/2020"),
    Fault("CIN of another person", "parked", CIN, "ambiguous-identity", ""),
    Fault("telephone too short", "accepted-with-warnings", "Member Phone Number", "bad-phone", "555-01"),
    Fault("ZIP code too short", "accepted-with-warnings", "Member Residential Zip", "bad-zip", "9370"),
    Fault("unknown language", "accepted-with-warnings", "Member Preferred Language (Spoken)", "bad-code", "Dothraki"),
    Fault(
        "neither yes nor no", "accepted-with-warnings", "Member Dually Enrolled in Medicare", "bad-yes-no", "perhaps"
    ),
)


def faulty(good: Row, fault: Fault, other: Row) -> Row:
    """A good row made bad; `other` is a row of another person that stands earlier in the file."""
    if fault.code == "ambiguous-identity":
        return good | {fault.column: other[fault.column]}
    return good | {fault.column: fault.value}


@dataclass(frozen=True)
class Sample:
    """The rows of a sample file, and what must become of each."""

    rows: list[Row]
    expected: list[dict[str, object]]


def sample(seed: int, people: Iterator[Member], as_of: date, size: int) -> Sample:
    """`size` rows of people with address and telephone, the faults spread among them: 3 % of 500 rows are bad."""
    random = Random(seed * 31 + size)
    places = sorted(random.sample(range(size // 10, size), len(FAULTS)))
    faults = dict(zip(places, random.sample(FAULTS, len(FAULTS)), strict=True))
    complete = (one for one in people if one.reachable and one.live)
    rows: list[Row] = []
    expected: list[dict[str, object]] = []
    for place in range(size):
        facts, fault = row(next(complete), as_of), faults.get(place)
        found: dict[str, object] = {"row": place + FIRST_ROW, "outcome": "accepted", "findings": []}
        if fault:
            facts = faulty(facts, fault, rows[0])
            finding = {"column": fault.column, "code": fault.code}
            found |= {"outcome": fault.outcome, "findings": [finding], "fault": fault.name}
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
