"""Layouts are data: every file of ours loads, headers match loosely, a plan's folder adds and extends."""

import json
from dataclasses import fields, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from fhir_server.app import create_app
from fhir_server.config import Settings
from fhir_server.ecm import code_lists
from fhir_server.ecm.files.facts import MemberFacts, OutreachAttempt, ReferralFacts, RosterEntry
from fhir_server.ecm.files.formats import FORMATS
from fhir_server.ecm.files.layouts import OWN, LayoutError, binding, load
from fhir_server.ecm.files.layouts.column import Column, Layout
from fhir_server.ecm.files.layouts.schema import row_schema
from fhir_server.ecm.files.layouts.types import fold, reader, writer
from fhir_server.ecm.member import Unreadable
from fhir_server.ecm.rosters.assignment import FACTS
from fhir_server.fhir.definitions import load as load_definitions
from fhir_server.fhir.errors import Unprocessable
from fhir_server.fhir.folders import data_folder
from fhir_server.store.db import open_database
from fhir_server.store.migrations import migrate
from fhir_server.terminology.codes import Terminology
from tests.ecm.files import samples
from tests.laws import examples

LAYOUTS = load()
MIF = LAYOUTS["member-information"]
KINDS = {
    "member-information": FACTS,
    "roster": (*FACTS, *(f.name for f in fields(RosterEntry))),
    "return-transmission": tuple(f.name for f in fields(MemberFacts)),
    "outreach-tracker": tuple(f.name for f in fields(OutreachAttempt)),
    "community-supports-return": tuple(f.name for f in fields(ReferralFacts)),
}
CSV, XLSX = FORMATS["csv"], FORMATS["xlsx"]


def bound_to(header: list[str], layout: Layout = MIF, form=CSV, above: int = 0) -> binding.Bound:
    rows = [(number, ["Instructions"]) for number in range(1, above + 1)]
    return binding.bind(layout, iter([*rows, (above + 1, header)]), form)


@pytest.mark.parametrize("name", KINDS)
def test_every_column_maps_to_a_fact_and_every_fact_has_a_column(name):
    mapped = {column.maps_to for column in LAYOUTS[name].columns if column.maps_to}
    assert mapped == set(KINDS[name])
    assert [column.name for column in LAYOUTS[name].columns if not column.maps_to] in ([], ["mode"])


def test_the_return_file_has_every_element_of_the_state():
    """1.2: 38 elements, nine flags of Populations of Focus, three closed-loop columns."""
    layout = LAYOUTS["return-transmission"]
    assert sum(1 for column in layout.columns if column.item) == 9
    assert {"referral_status", "referral_status_date", "closure_reason"} <= {column.name for column in layout.columns}
    assert len(layout.columns) == 61


def test_every_column_carries_its_confidence_and_every_layout_its_source():
    for path in [*OWN.glob("*.json"), *code_lists.FOLDER.glob("*.json")]:
        entry = json.loads(path.read_text())
        assert entry["source"]
        assert path.stem == entry["id"]
        for column in entry.get("columns", ()):
            assert column["confidence"] in {"seed", "found", "unverified", "defined"}


def test_the_codes_of_our_lists_are_codes_of_the_terminology():
    """The two are written apart; this holds them together."""
    terminology = Terminology(load_definitions((data_folder("terminology") / "ecm",)))
    checked = 0
    for path in code_lists.FOLDER.glob("*.json"):
        entry = json.loads(path.read_text())
        if "ecm-exchange.org" in entry.get("system", ""):
            assert [code for code in entry["codes"] if not terminology.display(entry["system"], code)] == []
            checked += 1
    assert checked >= 10


def test_no_spelling_names_two_codes():
    for path in code_lists.FOLDER.glob("*.json"):
        owner: dict[str, str] = {}
        for code, words in json.loads(path.read_text())["codes"].items():
            for word in {fold(word) for word in (code, *words)}:
                assert owner.setdefault(word, code) == code, (path.name, word)


def test_headers_match_without_case_blanks_and_punctuation():
    header = ["  client index number ", "LAST_NAME", "First-Name", "D.O.B.", "ecm provider npi", "Our Own Column"]
    bound = bound_to(header)
    values, findings = bound.read(["91234567a", "Ruiz", "Ana", "1/2/1980", samples.npi(3), "x"], 2)
    assert findings == []
    assert values == {
        "cin": "91234567A", "last_name": "Ruiz", "first_name": "Ana", "birth_date": "1980-01-02",
        "provider_npi": samples.npi(3),
    }  # fmt: skip
    assert bound.unknown == ("Our Own Column",)
    assert "Member Phone Number" in [column.header for column in bound.absent]


def test_rows_above_the_header_are_passed_over():
    bound = bound_to(["CIN", "Last Name", "First Name", "DOB", "NPI"], above=7)
    assert bound.header.number == 8


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (["CIN", "Last Name", "First Name", "DOB"], "lacks: ECM Provider NPI"),
        (["a", "b"], "No header"),
        (["CIN", "cin ", "Last Name", "First Name", "DOB", "NPI"], "more than one column for: Member Client Index"),
    ],
)
def test_a_wrong_header_is_refused_and_names_the_columns(header, why):
    """Catalogue row 107: wrong header, 422 structure."""
    with pytest.raises(Unprocessable) as failure:
        bound_to(header)
    assert failure.value.issues[0].code == "structure"
    assert why in failure.value.issues[0].diagnostics


def test_an_empty_file_is_refused():
    with pytest.raises(Unprocessable, match="no rows"):
        binding.bind(MIF, iter(()), CSV)


def test_what_is_given_beside_the_file_fills_blank_cells():
    header = ["CIN", "Last Name", "First Name", "DOB", "NPI", "Plan Code"]
    bound = binding.bind(MIF, iter([(1, header)]), CSV, {"plan_code": "029"})
    row = ["91234567A", "Ruiz", "Ana", "1/2/1980", samples.npi(3)]
    assert bound.read([*row, ""], 2)[0]["plan_code"] == "029"
    assert bound.read([*row, ""], 2)[1] == []
    assert bound.read([*row, "030"], 2)[0]["plan_code"] == "030"


def test_a_short_row_is_told_and_a_long_row_rejected_in_text_files_only():
    header = ["CIN", "Last Name", "First Name", "DOB", "NPI", "City"]
    row = ["91234567A", "Ruiz", "Ana", "1/2/1980", samples.npi(3), "Lodi"]
    text, book = bound_to(header), bound_to(header, form=XLSX)
    assert [f.code for f in text.read(row[:-1], 2)[1]] == ["short-row", "missing"]
    assert [(f.code, f.severity) for f in text.read([*row, "x"], 2)[1]] == [("long-row", "error")]
    assert text.read([*row, " "], 2)[1] == []
    assert [f.code for f in book.read(row[:-1], 2)[1]] == ["missing"]
    assert book.read([*row, "a remark"], 2)[1] == []


def test_flags_add_to_the_list_unless_the_list_says_it_more_exactly():
    header = ["CIN", "Last Name", "First Name", "DOB", "NPI", "POF Homelessness", "POF Birth Equity", "POF"]
    row = ["91234567A", "Ruiz", "Ana", "1/2/1980", samples.npi(3)]
    bound = bound_to(header)
    assert bound.read([*row, "Y", "Y", "1a"], 2)[0]["populations"] == ("birth-equity", "homeless-individuals")
    assert bound.read([*row, "Y", "N", ""], 2)[0]["populations"] == ("homelessness",)
    assert "populations" not in bound.read([*row, "N", "N", "N/A"], 2)[0]


UGLY = st.text(max_size=30) | st.sampled_from(
    ["", " ", "N/A", "Y", "0", "7/1/2026", "2026-13-01", "1234567893", "3; 4; 99", "a\x00b", "\u200b", "U", "x" * 300]
)


@settings(max_examples=examples(40), deadline=None)
@given(
    st.dictionaries(st.sampled_from([c.name for c in MIF.columns if c.maps_to]), UGLY, max_size=12),
    st.integers(0, 10**6),
)
def test_the_fast_readers_and_the_declared_schema_agree(ugly, seed):
    """One schema per layout says what a row means; the compiled readers must say the same of any row."""
    row = samples.mif_row(seed, Random(seed)) | ugly
    cells = [row.get(column.name, "") for column in MIF.columns]
    bound = bound_to([column.header for column in MIF.columns])
    try:
        loaded = row_schema(MIF).load(dict(zip((c.header for c in MIF.columns), cells, strict=True)))
        assert row_schema(MIF).load(row_schema(MIF).dump(loaded)) == loaded
        errors = {}
    except ValidationError as error:
        errors = error.messages
    values, findings = bound.read(cells, 2)
    slow_values, slow_findings = bound._read_slowly(cells, 2, [])
    assert values == slow_values
    assert sorted(map(str, findings)) == sorted(map(str, slow_findings))
    assert {finding.column for finding in findings} == set(errors)


@pytest.mark.parametrize("column", [c for name in KINDS for c in LAYOUTS[name].columns], ids=lambda c: c.name)
@settings(max_examples=examples(10), deadline=None)
@given(data=st.data())
def test_reading_what_was_written_gives_the_value(column: Column, data):
    """load(dump(value)) == value for every column of every layout."""
    candidates = [*column.codes, *(word for words in column.codes.values() for word in words)] or ["12", "Y", "Ab cd"]
    text = data.draw(UGLY | st.sampled_from(candidates))
    try:
        value = reader(column)(text.strip())
    except Unreadable:
        return
    if value is not None:
        assert reader(column)(writer(column, MIF.dates)(value)) == value


@given(st.text(max_size=300))
def test_text_is_one_readable_line(text):
    column = MIF.column("city")
    try:
        value = reader(column)(text.strip())
    except Unreadable:
        return
    assert value is None or (value == value.strip() and "\x00" not in value and "\n" not in value and "  " not in value)


def test_a_plan_brings_its_own_layout_without_code(tmp_path):
    """A layout file in a folder of settings renames, adds and re-codes columns."""
    (tmp_path / "codes").mkdir()
    (tmp_path / "codes" / "tier.json").write_text('{"id": "tier", "codes": {"high": ["3"], "low": ["1"]}}')
    own = {
        "id": "plan-x", "version": "1", "title": "X", "source": "Plan X", "extends": "member-information",
        "columns": [
            {"name": "cin", "header": "CIN No.", "type": "cin", "maps_to": "cin", "required": "R", "rejects": True},
            {"name": "acuity", "header": "Tier", "type": "code", "codes": "tier", "maps_to": "acuity"},
            {"name": "remark", "header": "Remark", "type": "text"},
        ],
    }  # fmt: skip
    (tmp_path / "plan-x.json").write_text(json.dumps(own))
    layout = load([tmp_path])["plan-x"]
    bound = bound_to(["MEDICAL NO", "Last Name", "First Name", "DOB", "NPI", "Tier", "Remark"], _renamed(layout))
    values, findings = bound.read(["91234567A", "R", "A", "1/2/1980", samples.npi(1), "3", "hello"], 2)
    assert (values["acuity"], findings, bound.unknown) == ("high", [], ())
    assert "remark" not in values


def _renamed(layout: Layout) -> Layout:
    cin = replace(layout.column("cin"), synonyms=("Medical No",))
    return replace(layout, columns=tuple(cin if column.name == "cin" else column for column in layout.columns))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"columns": [{"name": "a", "header": "A", "type": "blob"}]}, "type"),
        ({"columns": [{"name": "a", "header": "A", "type": "code", "codes": "none"}]}, "does not exist"),
        ({"columns": [{"name": n, "header": "A", "type": "text"} for n in "ab"]}, "share a header"),
        ({"key": ["zzz"]}, "for the key"),
        ({"extends": "nothing"}, "does not exist"),
        ({"colums": []}, "colums"),
    ],
)
def test_a_layout_that_cannot_be_used_says_why(tmp_path, change, why):
    entry = {"id": "x", "version": "1", "title": "X", "source": "X", "columns": []} | change
    (tmp_path / "x.json").write_text(json.dumps(entry))
    with pytest.raises(LayoutError, match=why):
        load([tmp_path])


RETURN = {
    "id": "return-transmission",
    "version": "1",
    "title": "X",
    "source": "Plan X",
    "extends": "return-transmission",
}


@pytest.mark.parametrize(
    ("id_", "column", "why"),
    [
        ("return-transmission", {"name": "score", "header": "Score", "type": "text", "required": "R"}, "plan's own"),
        ("return-transmission", {"name": "score", "header": "Score", "type": "text", "required": "C"}, "plan's own"),
        ("plan-x", {"name": "score", "header": "Score", "type": "text", "rejects": True}, "plan's own"),
        (
            "return-transmission",
            {"name": "housing_type", "header": "Housing", "type": "text", "maps_to": "housing_type", "required": "R"},
            "at most",
        ),
    ],
)
def test_a_plan_demands_no_more_of_a_provider_than_the_state(tmp_path, id_, column, why):
    """Policy Guide, data sharing: columns of a plan's own are for its providers to fill or to leave blank."""
    (tmp_path / "x.json").write_text(json.dumps({**RETURN, "id": id_, "columns": [column]}))
    with pytest.raises(LayoutError, match=f"{id_}: the column {column['name']} .*{why}.*no more than the state"):
        load([tmp_path])


def test_a_plan_may_ask_for_columns_of_its_own_and_demand_them_of_itself(tmp_path):
    """An extra column is read and may be blank; a plan's own assignment file may demand what the plan likes."""
    own = {"name": "score", "header": "Score", "type": "text", "required": "O"}
    (tmp_path / "x.json").write_text(json.dumps({**RETURN, "columns": [own]}))
    mine = {**RETURN, "id": "mine", "extends": "member-information", "columns": [{**own, "required": "R"}]}
    (tmp_path / "y.json").write_text(json.dumps(mine))
    made = load([tmp_path])
    assert made["return-transmission"].column("score").required == "O"
    assert made["mine"].column("score").required == "R"
    assert {one.id for one in LAYOUTS.values() if one.sent_by == "provider"} == {
        "return-transmission", "outreach-tracker", "community-supports-return",
    }  # fmt: skip


def test_a_server_does_not_start_with_a_layout_that_cannot_be_used(tmp_path):
    """The layout is checked when the server starts, not when the first file comes."""
    score = {"name": "score", "header": "Score", "type": "text", "required": "R"}
    (tmp_path / "x.json").write_text(json.dumps({**RETURN, "columns": [score]}))
    chosen = Settings(data_folder=str(tmp_path / "var"), layouts_folder=str(tmp_path))
    (tmp_path / "var").mkdir()
    database = open_database(chosen.url)
    migrate(database)
    database.close()
    with pytest.raises(LayoutError, match="score"):
        create_app(chosen)
