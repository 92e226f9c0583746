"""Member Information Files: the same content in three formats, and rows that are bad in the ways that are listed."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from seed import files, generate
from seed import world as organizations
from tests.seed.conftest import AS_OF, World

PLANS = [plan.key for plan in organizations.those("plan")]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text, delimiter="," if path.suffix == ".csv" else "|"))


def expected(world: World, plan: str) -> list[dict[str, object]]:
    return json.loads((world.folder / "samples" / "expected.json").read_text("utf-8"))[plan]


@pytest.mark.parametrize("plan", PLANS)
def test_three_percent_of_the_sample_are_bad(world: World, plan: str) -> None:
    rows, outcomes = read(world.folder / f"samples/{plan}.csv"), expected(world, plan)
    assert len(rows) == len(outcomes) == 500
    assert [one["row"] for one in outcomes] == list(range(2, 502))
    bad = [one for one in outcomes if one["outcome"] != "accepted"]
    assert len(bad) == 15
    assert Counter(one["outcome"] for one in bad) == {"rejected": 9, "parked": 2, "accepted-with-warnings": 4}
    assert {one["fault"] for one in bad} == {fault.name for fault in files.FAULTS}


@pytest.mark.parametrize("plan", PLANS)
def test_what_is_expected_is_in_the_file(world: World, plan: str) -> None:
    """The bad cell of each bad row holds what its fault says, and every other CIN is there once."""
    rows, outcomes = read(world.folder / f"samples/{plan}.csv"), expected(world, plan)
    faults = {fault.name: fault for fault in files.FAULTS}
    for facts, outcome in zip(rows, outcomes, strict=True):
        if outcome["outcome"] == "accepted":
            assert all(facts[name] for name in ("Member Phone Number", "Member Residential Zip", files.CIN))
        elif (fault := faults[str(outcome["fault"])]).code == "ambiguous-identity":
            assert facts[files.CIN] == rows[0][files.CIN]
        else:
            assert facts[fault.column] == fault.value
    good = [row[files.CIN] for row, one in zip(rows, outcomes, strict=True) if one["outcome"].startswith("accepted")]
    assert len(set(good)) == len(good) == 489


@pytest.mark.parametrize("plan", PLANS)
def test_the_three_formats_hold_the_same_rows(world: World, plan: str) -> None:
    calamine = pytest.importorskip("python_calamine")
    folder = world.folder / "samples"
    book = calamine.CalamineWorkbook.from_path(str(folder / f"{plan}.xlsx")).get_sheet_by_index(0).to_python()
    sheet = [dict(zip(book[0], row, strict=True)) for row in book[1:]]
    assert read(folder / f"{plan}.csv") == read(folder / f"{plan}.txt") == sheet


def _import_of(path: Path) -> Iterator[tuple[int, str, set[tuple[str, str]]]]:
    """(row, outcome, findings) as the server's reader of this layout judges a file before it looks into the store."""
    layouts = pytest.importorskip("fhir_server.ecm.files.layouts")
    binding = pytest.importorskip("fhir_server.ecm.files.layouts.binding")
    reading = pytest.importorskip("fhir_server.ecm.files.reading")
    form = pytest.importorskip("fhir_server.ecm.files.formats.csv").FORMAT
    with path.open("rb") as stream:
        rows = form.open(stream)
        bound = binding.bind(layouts.load()["member-information"], rows, form)
        assert bound.unknown == ()
        for number, cells in rows:
            result = reading.parse_assignment(bound, cells, number)
            yield result.number, result.outcome, {(one.column, one.code) for one in result.findings}


NEEDS_THE_STORE = {"unknown-provider", "ambiguous-identity"}


@pytest.mark.parametrize("plan", PLANS)
def test_the_server_judges_the_sample_as_expected(world: World, plan: str) -> None:
    """Each bad row is rejected or warned of with the listed column and code; unknown providers and twins come later."""
    outcomes = {one["row"]: one for one in expected(world, plan)}
    for row, outcome, findings in _import_of(world.folder / f"samples/{plan}.csv"):
        wanted = {(one["column"], one["code"]) for one in outcomes[row]["findings"]}
        if {code for _, code in wanted} & NEEDS_THE_STORE:
            assert outcome == "accepted"
        else:
            assert (outcome, findings) == (outcomes[row]["outcome"], wanted)


def test_no_seed_member_is_rejected_and_only_missing_contact_data_is_warned_of(world: World) -> None:
    contact = {"Member Residential Address", "Member Residential City", "Member Residential Zip", "Member Phone Number"}
    for plan in PLANS:
        for _, outcome, findings in _import_of(world.folder / f"members/{plan}.csv"):
            assert outcome != "rejected"
            assert findings <= {(column, "missing") for column in contact}


def test_a_large_file_can_be_streamed(tmp_path: Path) -> None:
    with Progress(console=Console(quiet=True)) as progress:
        generate.write_large(tmp_path, 7, 2_500, AS_OF, kind="pipe", progress=progress)
    rows = read(tmp_path / "plan-valley-2500.txt")
    assert len(rows) == len({row[files.CIN] for row in rows}) == 2_500


def test_rows_change_with_the_day_only_where_dates_stand(world: World) -> None:
    one = generate.members(7, AS_OF, 1)[0]
    assert files.row(one, AS_OF).keys() == set(files.header())
    assert files.row(one, date(2026, 10, 1)) != files.row(one, AS_OF)
