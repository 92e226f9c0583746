"""Declared, ordered, held: what a file says of itself, and files that must not be taken in as they come."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from fhir_server.ecm.files.formats import FORMATS
from fhir_server.jobs.worker import Worker
from tests.ecm.files.world import call, job_of, rows_of, seen, send
from tests.ecm.scene import HEADERS, NPIS, Scene, as_csv, cin, row, scene, table

pytestmark = pytest.mark.heavy

NUMBERS = count(300_000, 100)
DATED = (*HEADERS, "Production Date", "Reporting Period", "Plan Code", "File Type")
XLSX = FORMATS["xlsx"].media_types[0]


@pytest.fixture(scope="module")
def world(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A world that holds files as it does by default."""
    with scene(module_database_url, tmp_path_factory.mktemp("world"), hold_drop_percent=10) as found:
        yield found


def people(first: int, how_many: int, provider: str = "clinic", **cells: str) -> list[dict[str, str]]:
    return [row(number, provider, **cells) for number in range(first, first + how_many)]


def dated(first: int, how_many: int, day: str, provider: str = "clinic", **cells: str) -> bytes:
    return as_csv(people(first, how_many, provider, **{"Production Date": day, **cells}), DATED)


def test_a_truncated_full_file_is_held_with_zero_changes(world: Scene) -> None:
    """R3 1: a full file that drops more than 10 % of a roster changes nothing and says exactly what it would do."""
    first = next(NUMBERS)
    send(world, as_csv(people(first, 20, "street")))
    tables, versions = world.counts(), world.versions()
    cut = [*people(first, 9, "street"), row(first + 9, "street", Phone="619-555-0177"), row(first + 50, "street")]
    job, held = send(world, as_csv(cut))
    manifest = held.json()
    assert (held.status_code, manifest["state"]) == (200, "held")
    roster = manifest["held"]["rosters"][0]
    assert {name: roster[name] for name in ("provider", "members", "dropped", "droppedPercent")} == {
        "provider": "Organization/street", "members": 20, "dropped": 10, "droppedPercent": 50.0,
    }  # fmt: skip
    counts = {name: manifest["held"][name] for name in ("new", "changed", "unchanged", "dropped")}
    assert counts == {"new": 1, "changed": 1, "unchanged": 9, "dropped": 10}
    preview = rows_of(world, manifest, "preview")
    assert {(one["CIN"], one["Change"]) for one in preview} == {
        (cin(first + 9), "changed"), (cin(first + 50), "new"), *((cin(first + n), "dropped") for n in range(10, 20)),
    }  # fmt: skip
    assert (world.counts(), world.versions()) == (tables, versions)
    for name in ("confirm-file", "withdraw-file"):
        assert call(world, name, job, world.other_plan).status_code == 404
        assert call(world, name, job, world.clinic).status_code == 403  # by its token, whosever file it is
    done = call(world, "confirm-file", job).json()
    assert done["state"] == "in-force"
    assert {name: done["summary"][name] for name in counts} == counts
    assert seen(world, [first, first + 10, first + 50], "street") == {"street": [first, first + 50]}
    assert call(world, "confirm-file", job).status_code == 422
    assert call(world, "withdraw-file", job).status_code == 422


def test_a_held_file_is_withdrawn(world: Scene) -> None:
    """Nothing of it is ever taken in, and the next file is judged as if it had not been sent."""
    first = next(NUMBERS)
    send(world, as_csv(people(first, 10, "shelter")))
    before = world.versions()
    job, held = send(world, as_csv(people(first, 1, "shelter")))
    assert held.json()["state"] == "held"
    kept = {"Idempotency-Key": f"withdraw-{job}"}  # done once, and answered in one transaction
    for _ in range(2):
        assert world.plan.post(f"Group/$withdraw-file?job={job}", b"", headers=kept).status_code == 200
    assert call(world, "confirm-file", job).status_code == 422
    assert call(world, "recall-file", job).status_code == 422
    assert world.versions() == before
    done = send(world, as_csv(people(first, 9, "shelter")))[1].json()
    assert (done["state"], done["summary"]["dropped"]) == ("in-force", 1)


def test_a_held_file_is_looked_at_anew_if_its_roster_has_changed(world: Scene) -> None:
    """What the plan confirmed is what is done: another roster, another preview. The hold survives a new worker."""
    first = next(NUMBERS)
    send(world, as_csv(people(first, 10)))
    job, held = send(world, as_csv(people(first, 5)))
    before = held.json()["held"]["rosters"]
    send(world, as_csv([row(first + 60)]), "delta")
    again = call(world, "confirm-file", job).json()
    assert again["state"] == "held"
    leaving = [one["dropped"] for one in again["held"]["rosters"] if one["provider"] == "Organization/clinic"]
    assert leaving == [one["dropped"] + 1 for one in before if one["provider"] == "Organization/clinic"]
    assert Worker(world.server.engine).work_once() is False
    assert call(world, "confirm-file", job).json()["summary"]["dropped"] == leaving[0]


def test_members_who_go_to_another_provider_count_as_leaving(world: Scene) -> None:
    """A wrong NPI in every row moves a whole panel: the share of the roster they leave is what counts."""
    first = next(NUMBERS)
    send(world, as_csv(people(first, 10, "street")), "delta")
    _, held = send(world, as_csv(people(first, 10, "shelter")))
    assert held.json()["state"] == "held"
    leaving = {one["provider"]: one["dropped"] for one in held.json()["held"]["rosters"]}
    assert leaving["Organization/street"] == 10
    assert {one["Change"] for one in rows_of(world, held.json(), "preview")} >= {"moved"}


def test_a_delta_and_a_correction_are_never_held(world: Scene) -> None:
    """R3 1: absence from a correction never means dropped."""
    first = next(NUMBERS)
    send(world, as_csv(people(first, 5)), "delta")
    for mode in ("delta", "correction"):
        done = send(world, as_csv([row(first, Phone=f"619-555-01{len(mode)}")]), mode)[1].json()
        assert (done["state"], done["summary"]["dropped"], done["declared"]["mode"]) == ("in-force", 0, mode)
    assert seen(world, range(first, first + 5), "clinic")["clinic"] == list(range(first, first + 5))


def test_an_older_file_never_overwrites_a_newer_one(world: Scene) -> None:
    """R3 1: by the production date of what each roster stands on; nothing is changed and the answer says so."""
    first = next(NUMBERS)
    send(world, dated(first, 3, "07/10/2026"), "delta")
    before, tables = world.versions(), world.counts()
    _, refused = send(world, dated(first, 3, "07/09/2026", Phone="619-555-0190"), "delta")
    assert refused.status_code == 422
    assert "older" in refused.json()["issue"][0]["diagnostics"]
    assert (world.versions(), world.counts()) == (before, tables)
    same_day = send(world, dated(first, 3, "07/10/2026", Phone="619-555-0191"), "correction")[1].json()
    assert same_day["summary"]["changed"] == 3
    elsewhere = send(world, dated(first + 10, 1, "07/01/2026", "street"), "delta")[1]
    assert elsewhere.json()["summary"]["new"] == 1
    job, newer = send(world, dated(first, 3, "08/01/2026"), "delta")
    assert newer.status_code == 200
    assert call(world, "recall-file", job).json()["state"] == "recalled"
    assert send(world, dated(first, 3, "07/11/2026"), "delta")[1].status_code == 200  # the newer one is gone


def in_a_block(rows: list[dict[str, str]], *lines: list[str], headers: tuple[str, ...] = HEADERS) -> bytes:
    sheet = [*lines, *table(rows, headers)]
    return b"".join(FORMATS["csv"].write(sheet))


def test_a_block_above_the_header_declares(world: Scene) -> None:
    """R3 1: mode, provider, plan code, period and production date may stand above the header, for all rows."""
    first = next(NUMBERS)
    headers = tuple(name for name in HEADERS if name != "ECM Provider NPI")
    block = [
        ["Member Information File", ""], ["File Type: Correction", ""], ["Production Date", "09/01/2026"],
        ["Reporting Period: 2026-08", "ECM Provider NPI: " + NPIS["shelter"]], ["Plan Code", "029"],
    ]  # fmt: skip
    body = in_a_block(people(first, 2), *block, headers=headers)
    asked = world.plan.request("POST", "Group/$import-assignments", body, headers={"Content-Type": "text/csv"})
    assert asked.status_code == 202, asked.text
    world.work()
    done = world.plan.get(asked.headers["Content-Location"]).json()
    assert done["declared"] == {
        "mode": "correction", "plan-code": "029", "provider": NPIS["shelter"], "period": "2026-08",
        "production-date": "2026-09-01",
    }  # fmt: skip
    assert seen(world, [first], "shelter", "clinic") == {"shelter": [first], "clinic": []}


@pytest.mark.parametrize(
    ("query", "cells", "block", "said"),
    [
        ({"mode": "full"}, {"File Type": "Delta"}, [], "full was declared, but its first row says delta"),
        ({"production-date": "2026-07-02"}, {"Production Date": "07/01/2026"}, [], "2026-07-02 was declared"),
        ({"plan-code": "030"}, {"Plan Code": "29"}, [], "030 was declared"),
        ({"provider": NPIS["street"]}, {}, [], "was declared, but its first row says"),
        ({"period": "2026-Q3"}, {}, [["Reporting Period: 2026-05", ""]], "the block above its header says 2026-05"),
        ({"period": "soon"}, {}, [], "Give the reporting period"),
        ({"mode": "some"}, {}, [], "full (absent members are dropped), delta or correction"),
        ({"provider": "Organization/nobody"}, {}, [], "provider is the NPI or the Organization/id"),
    ],
)
def test_what_is_said_twice_must_agree(
    world: Scene, query: dict[str, str], cells: dict[str, str], block: list[Any], said: str
) -> None:
    """A parameter against a column or a block: 400 that says both, and nothing is kept."""
    rows = people(next(NUMBERS), 1, **{"Production Date": "07/01/2026", **cells})
    before = world.counts()
    path = "Group/$import-assignments?" + "&".join(f"{name}={value}" for name, value in query.items())
    body = in_a_block(rows, *block, headers=DATED)
    answer = world.plan.request("POST", path, body, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["issue"][0]["diagnostics"]
    assert world.counts() == before


def test_a_provider_given_for_the_whole_file(world: Scene) -> None:
    """A full file for one provider is about its roster alone, rows or not; rows of others open nothing."""
    first = next(NUMBERS)
    send(world, as_csv(people(first, 4, "street")), "delta")
    rows = [*people(first, 4, "street"), row(first + 9, "clinic")]
    job, held = send(world, as_csv(rows), provider="Organization/street")
    assert [one["provider"] for one in held.json()["held"]["rosters"] if one["dropped"]] == ["Organization/street"]
    done = call(world, "confirm-file", job).json()
    assert (done["state"], done["summary"]["rejected"]) == ("in-force", 1)
    assert rows_of(world, done, "response")[-1]["Code"] == "wrong-provider"
    assert seen(world, [first + 9], "clinic", "street") == {"clinic": [], "street": []}


def test_the_jobs_of_one_plan_are_its_own(world: Scene) -> None:
    """L9: another organization learns nothing of a file, not even that it is there."""
    asked = world.kick_off(world.plan, as_csv(people(next(NUMBERS), 1)), "delta")
    world.work()
    known, unknown = job_of(asked), "01a20494-0000-7000-8000-000000000000"
    for name in ("confirm-file", "withdraw-file", "recall-file"):
        answers = [call(world, name, job, world.other_plan) for job in (known, unknown)]
        assert [one.status_code for one in answers] == [404, 404], name
        assert answers[0].json()["issue"] == answers[1].json()["issue"]
