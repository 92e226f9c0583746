"""Rows become assignments: what is accepted, warned of, rejected, and when two rows are the same."""

import io
from collections import Counter
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.ecm.files.formats import FORMATS
from fhir_server.ecm.files.layouts import binding
from fhir_server.ecm.files.layouts.rows import RowResult
from fhir_server.ecm.files.reading import parse_assignment
from fhir_server.ecm.rosters.assignment import FACTS, Assignment, dump, load, row_hash
from tests.ecm.files import samples
from tests.laws import examples

NAMES = [column.name for column in samples.LAYOUT.columns]
HEADERS = {column.name: column.header for column in samples.LAYOUT.columns}
GOOD = samples.mif_row(1, Random(1)) | {"address": "1 Main St"}


def parsed(row: dict[str, str], order: list[str] | None = None) -> RowResult[Assignment]:
    names = order or NAMES
    bound = binding.bind(samples.LAYOUT, iter([(1, [HEADERS[name] for name in names])]), FORMATS["csv"])
    return parse_assignment(bound, [row.get(name, "") for name in names], 2)


def test_a_good_row_is_accepted():
    result = parsed(GOOD)
    assert (result.outcome, result.findings) == ("accepted", ())
    assert result.facts.authorization_end == "2027-06-30"
    assert result.facts.county == "37"
    assert list(result.cells) == [GOOD.get(name, "") for name in NAMES]


@pytest.mark.parametrize(
    ("name", "cell", "code"),
    [
        ("cin", "9123A", "bad-cin"),
        ("cin", "", "missing"),
        ("last_name", " ", "missing"),
        ("first_name", "\u200b", "missing"),
        ("birth_date", "13/45/1980", "bad-date"),
        ("birth_date", "2030-01-01", "bad-date"),
        ("provider_npi", "1234567890", "bad-npi"),
        ("provider_npi", "N/A", "missing"),
        ("authorization_end", "2026-06-30", "end-before-start"),
    ],
)
def test_without_identity_or_assignment_or_with_an_end_before_the_start_a_row_is_rejected(name, cell, code):
    """Catalogue row 108; no identity (CIN, name, date of birth) or no assignment (NPI): rejected."""
    result = parsed(GOOD | {name: cell})
    assert (result.outcome, result.facts) == ("rejected", None)
    assert [(f.column, f.code, f.severity, f.row) for f in result.findings] == [(HEADERS[name], code, "error", 2)]
    assert all(finding.advice for finding in result.findings)


@pytest.mark.parametrize(
    ("name", "cell", "code"),
    [
        ("phone", "555", "bad-phone"),
        ("zip", "9", "bad-zip"),
        ("email", "a@", "bad-email"),
        ("language", "Klingon", "bad-code"),
        ("renewal_date", "soon", "bad-date"),
        ("ed_visits", "-1", "bad-number"),
        ("homeless", "maybe", "bad-yes-no"),
        ("pcp_npi", "1", "bad-npi"),
        ("provider_tin", "1", "bad-tin"),
        ("period", "June", "bad-period"),
        ("city", "x" * 300, "bad-text"),
        ("address", "", "missing"),
    ],
)
def test_a_bad_optional_field_is_left_out_with_a_warning(name, cell, code):
    result = parsed(GOOD | {name: cell})
    assert result.outcome == "accepted-with-warnings"
    assert [(f.column, f.code, f.severity) for f in result.findings] == [(HEADERS[name], code, "warning")]
    wanted = {name: None} if name != "period" else {"period": None}
    assert {name: getattr(result.facts, name)} == wanted


def test_the_good_items_of_a_list_with_a_bad_one_are_kept():
    result = parsed(GOOD | {"populations": "3; 99; 1a"})
    assert result.outcome == "accepted-with-warnings"
    assert result.facts.populations == ("homeless-individuals", "smh-sud")


def test_all_that_is_wrong_with_a_row_is_told_at_once():
    result = parsed(GOOD | {"cin": "x", "phone": "x", "zip": "x", "authorization_end": "2020-01-01"})
    assert {finding.code for finding in result.findings} == {"bad-cin", "bad-phone", "bad-zip", "end-before-start"}


SPELLINGS = {
    "cin": ["90000001C", " 9000 0001 c ", "90000001C12026"],
    "birth_date": ["1980-01-02", "1/2/1980", "19800102", "01-02-1980"],
    "phone": ["6195550143", "(619) 555-0143", "+1 619 555 0143"],
    "homeless": ["Y", "yes", "TRUE", "1"],
    "gender": ["F", "Female", "female"],
    "populations": ["1a; 3", "SMI/SUD|1a", "3,homeless-individuals;3"],
    "authorization_end": ["2027-06-30", "6/30/2027"],
    "county": ["37", "San Diego", "san diego county"],
    "last_name": ["Ruiz  Lopez", " Ruiz Lopez", "Ruiz\u00a0Lopez"],
    "first_name": ["Jose\u0301", "Jos\u00e9"],
}


@settings(max_examples=examples(25), deadline=None)
@given(
    st.fixed_dictionaries({name: st.sampled_from(cells) for name, cells in SPELLINGS.items()}),
    st.permutations(NAMES),
    st.sampled_from(["2026-06", "2026-07"]),
)
def test_the_row_hash_does_not_depend_on_formatting_column_order_or_file(row, order, period):
    """The same content again writes nothing, whatever the spelling, the columns' order and the month of the file."""
    first = {name: cells[0] for name, cells in SPELLINGS.items()}
    expected = parsed(GOOD | first)
    found = parsed(GOOD | row | {"period": period, "production_date": "8/1/2026"}, order)
    assert found.outcome == expected.outcome == "accepted"
    assert row_hash(found.facts) == row_hash(expected.facts)
    assert -(2**63) <= row_hash(found.facts) < 2**63


@given(st.sampled_from([name for name in FACTS if name not in {
    "production_date", "period", "plan_contact_name", "plan_contact_phone", "plan_contact_email"}]))  # fmt: skip
def test_the_row_hash_changes_with_every_fact(name):
    base = parsed(GOOD).facts
    value = getattr(base, name)
    other = ("zz",) if isinstance(value, tuple) else (not value) if isinstance(value, bool) else f"{value}z"
    assert row_hash(msgspec.structs.replace(base, **{name: other})) != row_hash(base)


def test_an_assignment_is_kept_and_given_back():
    facts = parsed(GOOD).facts
    assert load(dump(facts)) == facts
    with pytest.raises(AttributeError):
        facts.cin = "x"


@pytest.mark.parametrize("form", list(FORMATS))
def test_the_same_file_in_every_format_gives_the_same_results(form):
    def read(name: str) -> list[tuple[object, ...]]:
        rows = FORMATS[name].open(io.BytesIO(samples.make_mif(120, bad_share=0.3, seed=7, form=name)))
        bound = binding.bind(samples.LAYOUT, rows, FORMATS[name])
        results = [parse_assignment(bound, cells, number) for number, cells in rows]
        return [(r.number, r.outcome, r.facts and row_hash(r.facts), r.findings) for r in results]

    assert read(form) == read("csv")
    outcomes = Counter(row[1] for row in read(form))
    assert outcomes.total() == 120
    assert outcomes["rejected"] > 5 < outcomes["accepted-with-warnings"]
