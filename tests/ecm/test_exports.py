"""Rosters that go out: as files in every format, and as what changed since a version."""

import io
import time
from collections.abc import Iterator

import pytest
from python_calamine import CalamineWorkbook

from tests.ecm.exchange import MEMBERS, World, build, read
from tests.live import running

pytestmark = pytest.mark.heavy

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
OPERATIONS = (
    "export-roster",
    "changes-since?version=0",
    "export-return-file?period=2025-07",
    "export-return-file?period=2025-07&file=outreach",
    "export-return-file?period=2025-07&file=community-supports",
)


@pytest.fixture(scope="module")
def world(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(module_database_url, tmp_path_factory.mktemp("server"), hold_drop_percent=100) as live:
        yield build(live)
        live.app.extensions["worker"].stop()


def test_a_provider_downloads_its_roster(world: World) -> None:
    """EC-11: in the columns of the assignment file, in UTF-8, and no cell runs as a formula."""
    answer = world.operation("clinic", "export-roster")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["X-Roster-Version"] == "2"
    rows = read(answer.content)
    assert [row["Member Client Index Number (CIN)"] for row in rows] == sorted(MEMBERS)
    first = rows[0]
    assert (first["Member Last Name"], first["Authorization Number"]) == ("Rivera", "AUTH-90000001A")
    assert first["Change Since Previous Roster"] == "New"
    assert (first["Roster Start Date"], first["Roster End Date"], first["Roster Version"]) == (
        "01/05/2025", "12/31/2099", "2",
    )  # fmt: skip
    assert rows[1]["Member First Name"] == "'=cmd|'/c calc'!A0"


def test_every_format_holds_the_same(world: World) -> None:
    """By parameter and by Accept; a workbook holds text cells only."""
    plain = [list(row.values()) for row in read(world.operation("clinic", "export-roster").content)]
    piped = world.operation("clinic", "export-roster", headers={"Accept": "text/plain"})
    assert piped.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert piped.text.splitlines()[1].split("|")[:3] == plain[0][:3]
    for answer in (
        world.operation("clinic", "export-roster", "format=xlsx"),
        world.operation("clinic", "export-roster", headers={"Accept": XLSX}),
    ):
        assert answer.headers["Content-Type"] == XLSX
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(answer.content)).get_sheet_by_index(0).to_python()
        restored = [[cell[1:] if cell.startswith("'=") else cell for cell in row] for row in plain]
        assert [row[: len(plain[0])] for row in sheet[1:]] == restored
        assert b"<f>" not in answer.content


def test_what_is_not_offered_is_refused(world: World) -> None:
    assert world.operation("clinic", "export-roster", headers={"Accept": "image/png"}).status_code == 406
    for query in ("format=exe", "layout=none", "version=1&as-of=2025", "as-of=2999", "version=x", "colour=red"):
        assert world.operation("clinic", "export-roster", query).status_code == 400, query
    assert world.operation("clinic", "export-roster", "version=99").status_code == 404
    assert world.operation("clinic", "export-return-file").status_code == 400
    assert world.operation("clinic", "export-return-file", "period=July").status_code == 400


def test_parameters_travel_in_a_body_too(world: World) -> None:
    body = {"resourceType": "Parameters", "parameter": [{"name": "format", "valueCode": "pipe"}]}
    answer = world.clinic.post(f"Group/{world.group}/$export-roster", body)
    assert answer.status_code == 200
    assert "|" in answer.text.splitlines()[0]


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_stranger_finds_nothing(world: World, name: str) -> None:
    """404 for who has no contract, as for a roster that never was; the same bytes."""
    stranger = world.rival.get(f"Group/{world.group}/${name}")
    nowhere = world.rival.get(f"Group/0190-not-there/${name}")
    assert (stranger.status_code, nowhere.status_code) == (404, 404)
    assert stranger.content == nowhere.content


def test_versions_stay_and_who_leaves_is_told(world: World) -> None:
    """EC-12: any published version and any instant can be shown again; the provider learns who left, and no more."""
    before = world.operation("clinic", "export-roster").content
    then = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    time.sleep(1.1)
    manifest = world.assign(["90000001A", "90000002B"], Acuity="Low")
    assert manifest["rosters"][0]["published"] == 3
    assert manifest["summary"]["dropped"] == 1
    world.end_team("90000003C")
    now = read(world.operation("clinic", "export-roster").content)
    assert [row["Member Acuity Level"] for row in now] == ["Low", "Low"]
    assert now[0]["Change Since Previous Roster"] == "Changed"
    # The plan still sees every member of the old version; the provider only those it may see now.
    for query in ("version=2", f"as-of={then}"):
        assert world.operation("plan", "export-roster", query).content == before
    kept = [line for line in before.splitlines() if b"90000003C" not in line]
    assert world.operation("clinic", "export-roster", "version=2").content.splitlines() == kept
    dropped = read(world.operation("plan", "export-roster").content)[-1]
    assert dropped["Change Since Previous Roster"] == "Dropped"
    _departures(world)


def _departures(world: World) -> None:
    gone = world.patients["90000003C"]
    answer = world.operation("clinic", "changes-since", "version=2").json()
    assert answer["meta"]["versionId"] == "3"
    assert answer["meta"]["tag"][-1]["code"] == "SUBSETTED"
    assert len(answer["member"]) == 3
    left = answer["member"][-1]
    change = "http://hl7.org/fhir/us/davinci-atr/StructureDefinition/ext-changeType"
    assert left == {
        "extension": [{"url": change, "valueCode": "dropped"}],
        "entity": {"reference": f"Patient/{gone}"},
        "inactive": True,
    }
    assert world.clinic.get(f"Patient/{gone}").status_code == 404
    assert "member" not in world.operation("clinic", "changes-since", "version=3").json()
    for known in ("0", "1"):  # it had not been told of that member yet
        entities = world.operation("clinic", "changes-since", f"version={known}").json()["member"]
        assert gone not in str(entities)
    assert gone in str(world.operation("plan", "changes-since", "version=2").json())
    assert world.operation("clinic", "changes-since", "version=4").status_code == 400
    assert world.operation("clinic", "changes-since").status_code == 400
