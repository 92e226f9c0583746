"""Imports as jobs: refused files, workers that die, files that must wait for one another, long files."""

import io
import zipfile
from typing import Any

import pytest

from fhir_server.ecm.files.formats import FORMATS
from fhir_server.jobs.worker import Worker
from tests.ecm.scene import HEADERS, Killed, Scene, as_csv, row, table
from tests.ecm.test_import import entries

pytestmark = pytest.mark.heavy

XLSX = FORMATS["xlsx"].media_types[0]
LEASE = 31_000


def macros() -> bytes:
    """A workbook with a macro in it."""
    out = io.BytesIO(b"".join(FORMATS["xlsx"].write(table([row(1)]))))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("xl/vbaProject.bin", b"\xd0\xcf")
    return out.getvalue()


ENCRYPTED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 2048
UTF16 = as_csv([row(1)]).decode().encode("utf-16")
REFUSED = [
    ("wrong header", as_csv([row(1)], ("Colour", "Shape", "Size")), "text/csv", 422),
    ("identity missing", as_csv([row(1)], tuple(name for name in HEADERS if name != "CIN")), "text/csv", 422),
    ("wrong delimiter", as_csv([row(1)], delimiter=";"), "text/csv", 422),
    ("utf-16", UTF16, "text/csv", 422),
    ("empty", b"", "text/csv", 422),
    ("xlsm", macros(), "application/vnd.ms-excel.sheet.macroEnabled.12", 415),
    ("macros in xlsx", macros(), XLSX, 422),
    ("password", ENCRYPTED, XLSX, 422),
    ("pdf", b"%PDF-1.7", "application/pdf", 415),
]


@pytest.mark.parametrize(("name", "body", "kind", "status"), REFUSED, ids=[case[0] for case in REFUSED])
def test_files_that_are_refused(world: Scene, name: str, body: bytes, kind: str, status: int):
    """Row 107: before the 202, with words that say what is wrong; nothing is kept."""
    before = world.counts()
    answer = world.kick_off(world.plan, body, kind=kind)
    assert answer.status_code == status, answer.text
    assert answer.json()["issue"][0]["diagnostics"]
    assert "Content-Location" not in answer.headers
    assert world.counts() == before


def test_a_file_that_is_too_long(world: Scene):
    """Row 107: 413, as soon as the limit is passed."""
    settings = world.server.engine.settings
    object.__setattr__(settings, "max_file_bytes", 2000)
    try:
        answer = world.kick_off(world.plan, as_csv([row(number) for number in range(100)]))
    finally:
        object.__setattr__(settings, "max_file_bytes", 2**31 - 1)
    assert answer.status_code == 413
    assert answer.json()["issue"][0]["code"] == "too-long"


def test_a_password_and_a_broken_row(world: Scene):
    """A quote that never ends is a row's own failure or the file's, never the server's."""
    body = as_csv([row(50), row(51)]) + b'"never closed'
    answer = world.kick_off(world.plan, body, mode="delta")
    assert answer.status_code in {202, 422}
    if answer.status_code == 202:
        world.work()
        assert world.plan.get(answer.headers["Content-Location"]).status_code in {200, 422}


def people(first: int, how_many: int, provider: str = "clinic", **cells: str) -> list[dict[str, str]]:
    """Rows of consecutive members."""
    return [row(number, provider, **cells) for number in range(first, first + how_many)]


class Broken(Exception):
    """Something that goes wrong inside a transaction and may go right the next time."""


class Stopper:
    """A gate of the engine: at the n-th Patient it breaks the transaction, or kills the worker after it."""

    def __init__(self, at: int) -> None:
        self.left = at

    def inside(self, transaction: Any, change: Any) -> None:
        """in_transaction."""
        self.left -= change.type == "Patient"
        if not self.left and change.type == "Patient":
            raise Broken

    def after(self, context: Any, changes: list[Any]) -> None:
        """after_commit."""
        self.left -= sum(change.type == "Patient" for change in changes)
        if self.left <= 0 < len(changes):
            raise Killed


def killed(world: Scene, at: int) -> None:
    """A worker takes up a job and dies once so many Patients are stored; then its lease runs out."""
    engine, stopper = world.server.engine, Stopper(at)
    engine.hooks.after_commit.append(stopper.after)
    with pytest.raises(Killed):
        Worker(engine).work_once()
    engine.hooks.after_commit.remove(stopper.after)


def broken(world: Scene, at: int) -> None:
    """A worker takes up a job and its transaction breaks at this Patient."""
    engine, stopper = world.server.engine, Stopper(at)
    engine.hooks.in_transaction.append(stopper.inside)
    assert Worker(engine).work_once()
    engine.hooks.in_transaction.remove(stopper.inside)


def killed_and_resumed(world: Scene, body: bytes, kills: list[int], mode: str = "full") -> Any:
    """Take in a file by workers that die after so many Patients each; the manifest of the last one."""
    asked = world.kick_off(world.plan, body, mode)
    for at in kills:
        killed(world, at)
        assert Worker(world.server.engine).work_once() is False  # its lease is still held
        world.move_clock(LEASE)
    broken(world, 20)
    world.move_clock(LEASE)
    world.work()
    return world.plan.get(asked.headers["Content-Location"]).json()


def test_a_killed_import_ends_as_a_clean_one(world: Scene):
    """AT-30: killed in the middle of three chunks and resumed, it stores each row once and drops who is absent."""
    world.take_in(world.plan, people(10_000, 20, "shelter"), mode="delta")
    before = len([name for name in world.versions() if name.startswith("Patient/")])
    rows = [*people(10_005, 15, "shelter"), *people(20_000, 600, "shelter"), row(20_000, "shelter")]
    done = killed_and_resumed(world, as_csv(rows), [100, 200])
    assert done["summary"] == {
        "rows": 616, "accepted": 615, "warnings": 0, "parked": 0, "rejected": 1, "new": 600, "changed": 0,
        "unchanged": 15, "dropped": 5,
    }  # fmt: skip
    after = world.versions()
    assert len([name for name in after if name.startswith("Patient/")]) == before + 600
    response = world.response(world.plan, done)
    assert [one["CIN"] for one in response] == [one["CIN"] for one in rows]
    shown = entries(world.roster(world.plan, provider="shelter"))
    assert sorted(shown.values()).count("dropped") == 5
    assert len(shown) == 620
    assert len(entries(world.roster(world.shelter, provider="shelter"))) == 615
    again = world.take_in(world.plan, as_csv(rows))
    assert (again["summary"]["unchanged"], again["summary"]["dropped"]) == (615, 0)
    assert world.versions() == after


def test_nothing_of_a_chunk_that_broke(world: Scene):
    """A chunk is stored whole or not at all: access, members and resources of the broken one are not there."""
    before = world.counts()
    asked = world.kick_off(world.plan, as_csv(people(40_000, 50, "street")), "delta")
    broken(world, 40)
    assert world.counts() == before
    assert world.plan.get(asked.headers["Content-Location"]).status_code == 202
    world.move_clock(LEASE)
    world.work()
    assert world.plan.get(asked.headers["Content-Location"]).json()["summary"]["new"] == 50


def test_what_a_given_up_import_left_is_published_by_the_next(world: Scene):
    """A cancelled import leaves whole chunks behind; the next file publishes them with its own."""
    asked = world.kick_off(world.plan, as_csv(people(50_000, 300, "clinic")), "delta")
    killed(world, 1)  # after the first chunk
    assert world.plan.delete(asked.headers["Content-Location"]).status_code in {202, 204}
    done = world.take_in(world.plan, people(50_000, 250, "clinic"), mode="delta")
    assert done["summary"]["unchanged"] == 250
    assert done["rosters"][0]["published"]
    shown = world.roster(world.plan)
    assert [len(entries(shown)), set(entries(shown).values()) >= {"new"}] == [250, True]


def test_files_of_one_plan_take_turns(world: Scene):
    """Whichever worker comes first, the file sent first is taken in first, and no two at once."""
    engine = world.server.engine
    first = world.kick_off(world.plan, as_csv(people(60_000, 3, "street", Phone="619-555-0110")), "delta")
    second = world.kick_off(world.plan, as_csv(people(60_000, 3, "street", Phone="619-555-0120")), "delta")
    other = world.kick_off(world.other_plan, as_csv(people(60_000, 3, "street")), "delta")
    killed(world, 2)
    assert Worker(engine).work_once()  # the second one: it gives way to the first, whose worker died
    assert Worker(engine).work_once()  # the other plan's: it need not wait
    places = [asked.headers["Content-Location"] for asked in (first, second, other)]
    assert [world.plan.get(place).status_code for place in places[:2]] == [202, 202]
    assert world.other_plan.get(places[2]).status_code == 200
    world.move_clock(LEASE)
    world.work()
    assert [world.plan.get(place).status_code for place in places[:2]] == [200, 200]
    assert world.member(world.plan, 60_001)["telecom"][0]["value"] == "6195550120"


def test_only_the_client_that_asked_sees_its_job(world: Scene):
    """L9: status, response file and cancellation are its own."""
    asked = world.kick_off(world.plan, as_csv([row(70_000)]), "delta")
    world.work()
    place = asked.headers["Content-Location"]
    done = world.plan.get(place).json()
    for other in (world.clinic, world.other_plan, world.stranger):
        assert other.get(place).status_code == 404
        assert other.get(done["output"][0]["url"]).status_code == 404
        assert other.delete(place).status_code == 404


def test_the_hash_of_the_file_is_its_provenance(world: Scene):
    """EC-08: every resource of a file can be found by the file's SHA-256."""
    done = world.take_in(world.plan, people(80_000, 2), mode="delta")
    patient = world.member(world.plan, 80_000)["id"]
    assert done["summary"]["new"] == 2
    origin = world.plan.get(f"Provenance?target=Patient/{patient}").json()["entry"][0]["resource"]
    digest = origin["entity"][0]["what"]["identifier"]["value"]
    assert len(digest) == 64
