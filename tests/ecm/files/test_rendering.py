"""Return, outreach, Community Supports and roster files: written in their columns and read back the same."""

import io
from dataclasses import fields, replace
from datetime import date
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.ecm.files import reading, rendering, response
from fhir_server.ecm.files.facts import MemberFacts, OutreachAttempt, ReferralFacts, RosterEntry
from fhir_server.ecm.files.formats import FORMATS
from fhir_server.ecm.files.layouts import binding, load
from fhir_server.ecm.files.layouts.binding import Finding
from fhir_server.ecm.files.layouts.column import Layout
from fhir_server.ecm.files.reading import parse_assignment
from tests.ecm.files import samples
from tests.ecm.files.test_assignment import parsed
from tests.laws import examples

LAYOUTS = load()
DAYS = st.dates(min_value=date(1950, 1, 1), max_value=date(2100, 12, 31)).map(lambda day: day.isoformat())
TEXTS = st.sampled_from(
    ["Ana", "O'Neill", "=1+1", "+Lopez", 'a|b, c; "d"', "Jos\u00e9", "@home", "'=x", "-5", "Ng\u1ecdc"]
)

VALUES = {
    "text": TEXTS,
    "date": DAYS,
    "boolean": st.booleans(),
    "cin": st.just("91234567A"),
    "npi": st.just(samples.npi(4)),
    "tin": st.just("950001234"),
    "phone": st.sampled_from(["6195550143", "6195550143x22"]),
    "zip": st.sampled_from(["92101", "92101-1234"]),
    "email": st.just("a@example.org"),
    "period": st.sampled_from(["2026-07", "2026-Q3"]),
    "integer": st.integers(0, 99_999),
}
ENDS = {"benefit_end", "service_end"}


def facts_of(kind: type, layout: Layout) -> st.SearchStrategy[Any]:
    """Any facts a row of this layout can say."""
    chosen = {}
    for column in layout.columns:
        if column.type == "code":
            values = st.sampled_from(list(column.codes))
        elif column.type == "list":
            values = st.sets(st.sampled_from(list(column.codes)), min_size=1).map(lambda items: tuple(sorted(items)))
        elif column.item:
            continue
        else:
            values = VALUES[column.type]
        empty = st.just(()) if column.type == "list" else st.none()
        chosen[column.maps_to] = values if column.rejects else st.one_of(empty, values)
    chosen |= {name: st.none() for name in ENDS & set(chosen)}
    return st.fixed_dictionaries(chosen).map(lambda given: kind(**given))


def read_back(layout: Layout, form: str, body: bytes) -> list[Any]:
    rows = FORMATS[form].open(io.BytesIO(body))
    bound = binding.bind(layout, rows, FORMATS[form])
    return [reading.parse_facts(bound, cells, number) for number, cells in rows]


KINDS = [
    ("return-transmission", MemberFacts),
    ("outreach-tracker", OutreachAttempt),
    ("community-supports-return", ReferralFacts),
]


@pytest.mark.parametrize(("name", "kind"), KINDS)
@pytest.mark.parametrize("form", ["csv", "pipe", "xlsx"])
@settings(max_examples=examples(8), deadline=None)
@given(data=st.data())
def test_what_a_file_says_is_read_back_the_same(name, kind, form, data):
    """load(dump(row)) == row for return, outreach and Community Supports files in every format."""
    layout = LAYOUTS[name]
    facts = data.draw(st.lists(facts_of(kind, layout), min_size=1, max_size=3))
    body = b"".join(rendering.render(FORMATS[form], rendering.rows(layout, facts)))
    results = read_back(layout, form, body)
    assert [result.facts for result in results] == facts
    assert [result.number for result in results] == list(range(2, len(facts) + 2))


def test_the_return_file_shows_populations_twice_and_codes_in_words():
    fact = MemberFacts(
        cin="91234567A",
        last_name="Ruiz",
        first_name="Ana",
        provider_npi=samples.npi(1),
        populations=("homeless-families", "smh-sud"),
        status="enrolled",
        benefit_start="2026-07-01",
        discontinuation_code="8",
        referral_status="loop-closed",
        closure_reason="services-received",
        in_person=0,
    )
    header, row = rendering.rows(LAYOUTS["return-transmission"], [fact])
    said = dict(zip(header, row, strict=True))
    flags = {name: cell for name, cell in said.items() if name.startswith("POF ")}
    assert {name for name, cell in flags.items() if cell == "Y"} == {"POF Homelessness", "POF SMH/SUD"}
    assert len(flags) == 9
    assert said["Referral Status"] == "Referral loop closed"
    assert said["Reason for Referral Loop Closure"] == "Services received"
    assert said["ECM Enrollment Start Date"] == "07/01/2026"
    assert said["Discontinuation Reason Code"] == "8"
    assert said["In Person"] == "0"


def test_a_return_row_ends_before_it_starts_or_closes_without_reason():
    layout = LAYOUTS["return-transmission"]
    base = MemberFacts(cin="91234567A", last_name="Ruiz", first_name="Ana", provider_npi=samples.npi(1))
    wrong = replace(base, benefit_start="2026-07-01", benefit_end="2026-06-01")
    open_end = replace(base, referral_status="loop-closed")
    body = b"".join(FORMATS["csv"].write(rendering.rows(layout, [wrong, open_end])))
    first, second = read_back(layout, "csv", body)
    assert (first.outcome, first.findings[-1].code) == ("rejected", "end-before-start")
    assert (second.outcome, second.findings[-1].column) == (
        "accepted-with-warnings",
        "Reason for Referral Loop Closure",
    )


@pytest.mark.parametrize("form", ["csv", "pipe", "xlsx"])
def test_a_roster_is_a_member_information_file_and_more(form):
    """The roster comes in the file layout: read as an assignment file it gives the same assignments."""
    assignments = [parsed(samples.mif_row(number, Random(number))).facts for number in range(30)]
    entry = RosterEntry(change="new", roster_start="2026-07-01", roster_version=3)
    lines = list(rendering.roster(LAYOUTS["roster"], ((a, entry) for a in assignments)))
    assert lines[1][lines[0].index("Change Since Previous Roster")] == "New"
    body = b"".join(rendering.render(FORMATS[form], lines))
    rows = FORMATS[form].open(io.BytesIO(body))
    bound = binding.bind(samples.LAYOUT, rows, FORMATS[form])
    assert [parse_assignment(bound, cells, number).facts for number, cells in rows] == assignments


def test_every_fact_of_the_return_file_has_a_cell():
    fact = {field.name for field in fields(MemberFacts)}
    assert fact == {column.maps_to for column in LAYOUTS["return-transmission"].columns}


def test_the_response_is_the_file_and_four_columns():
    """One row per input row, rejected or not, in the order and the columns of the sender, and what became of it."""
    header = [column.header for column in samples.LAYOUT.columns]
    bound = binding.bind(samples.LAYOUT, iter([(1, header)]), FORMATS["csv"])
    good = samples.mif_row(1, Random(1)) | {"address": "1 Main St"}
    rows = [good, good | {"cin": "9123", "zip": "1"}, good | {"phone": ""}]
    results = [
        parse_assignment(bound, [row.get(c.name, "") for c in samples.LAYOUT.columns], n)
        for n, row in enumerate(rows, 2)
    ]
    twin = Finding(5, "Member Client Index Number (CIN)", "duplicate-member", "Send one row.", "error")
    results.append(response.with_finding(replace(results[0], number=5), twin, "rejected"))
    table = list(response.rows(LAYOUTS["response"], bound, results))
    assert table[0] == [*header, "Outcome", "Code", "Message", "Advice"]
    assert [row[:-4] for row in table[1:]] == [list(result.cells) for result in results]
    assert [row[-4:-2] for row in table[1:]] == [
        ["accepted", ""],
        ["rejected", "bad-cin; bad-zip"],
        ["accepted-with-warnings", "missing"],
        ["rejected", "duplicate-member"],
    ]
    told = "Row 3: Member Client Index Number (CIN): not a CIN; Member Residential Zip: not a ZIP code"
    assert [row[-2] for row in table[1:3]] == ["", told]
    assert results[-1].facts is None
    assert all(len(row) == len(table[0]) for row in table)


def test_a_response_that_comes_back_has_its_four_columns_once():
    """Corrected rows are sent back as they came: what an earlier response added is passed over."""
    header = [*(column.header for column in samples.LAYOUT.columns), "Outcome", "Code", "Message", "Advice"]
    bound = binding.bind(samples.LAYOUT, iter([(1, header)]), FORMATS["csv"])
    row = samples.mif_row(1, Random(1)) | {"address": "1 Main St"}
    cells = [*(row.get(column.name, "") for column in samples.LAYOUT.columns), "rejected", "bad-cin", "Row 2", "x"]
    result = parse_assignment(bound, cells, 2)
    assert (result.outcome, result.findings) == ("accepted", ())
    table = list(response.rows(LAYOUTS["response"], bound, [result]))
    assert table == [header, [*cells[:-4], "accepted", "", "", ""]]


def test_a_cell_is_echoed_harmless():
    header = [column.header for column in samples.LAYOUT.columns]
    bound = binding.bind(samples.LAYOUT, iter([(1, header)]), FORMATS["csv"])
    row = samples.mif_row(1, Random(1)) | {"last_name": "=HYPERLINK(" + "x" * 100}
    result = parse_assignment(bound, [row.get(column.name, "") for column in samples.LAYOUT.columns], 2)
    body = b"".join(FORMATS["csv"].write(response.rows(LAYOUTS["response"], bound, [result])))
    assert b"'=HYPERLINK" in body
