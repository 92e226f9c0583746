"""Patient/$purge in the programme: of all places that a member's data can reach, only those named here keep any."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_server.ecm.files.formats import FORMATS
from fhir_server.jobs.expiry import purge as expire
from fhir_server.store.purging import WORDS_TO_MERGE
from tests.ecm import referral
from tests.ecm.files.world import call, job_of, send
from tests.ecm.referral import made, walked
from tests.ecm.scene import NPIS, Scene, as_csv, cin, row, scene, table
from tests.live import Client

pytestmark = pytest.mark.heavy

MARKER = "Qmarkerq"
MEMBER, OTHER = 1, 2
STAY = {"audit", "report_piece"}  # the trail, and the return files that a provider sent: ADR 65
ASYNC = {"Prefer": "respond-async"}
NAMELESS = {"resourceType": "Parameters"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drop")


@pytest.fixture(scope="module")
def world(module_database_url: str, tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Scene]:
    with scene(module_database_url, tmp_path_factory.mktemp("purge"), notice_folder=str(folder)) as found:
        found.clients["eraser"] = found.server.client("eraser", organization="Organization/plan", rights="purge")
        yield found


def member(**cells: str) -> dict[str, str]:
    return row(MEMBER, **{"Last Name": MARKER, "Address": f"1 {MARKER} Street", **cells})


def answered_later(world: Scene, client: Client, *entries: dict[str, Any]) -> str:
    """The id of a batch that is done."""
    begun = client.post("", {"resourceType": "Bundle", "type": "batch", "entry": list(entries)}, headers=ASYNC)
    assert begun.status_code == 202, begun.text
    world.work()
    return job_of(begun)


def entry(method: str, url: str, resource: Any = None) -> dict[str, Any]:
    return {"request": {"method": method, "url": url}, **({"resource": resource} if resource else {})}


def fill(world: Scene) -> dict[str, Any]:
    """The member's marker, wherever the product keeps something; what the tests need to know of it."""
    plan, clinic = world.plan, world.clinic
    first, _ = send(world, as_csv([member(), row(OTHER)]))
    _parked, _ = send(world, as_csv([member(**{"ECM Provider NPI": NPIS["nobody"]})]), mode="delta")
    recalled, _ = send(world, as_csv([member(Phone="619-555-0155")]), mode="delta")
    patient = world.member(plan, MEMBER)
    subject = {"reference": f"Patient/{patient['id']}"}
    assert clinic.get(f"Patient/{patient['id']}").status_code == 200
    assert call(world, "recall-file", recalled).status_code == 200
    narrative = {"status": "additional", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{MARKER}</div>'}
    keyed = {"headers": {"Idempotency-Key": "purge-condition"}}
    body = {"resourceType": "Condition", "subject": subject, "code": {"text": MARKER}, "text": narrative}
    condition = plan.post("Condition", body, **keyed)
    assert condition.status_code == 201, condition.text
    note = {"resourceType": "Observation", "status": "final", "subject": subject, "code": {"text": MARKER}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry("POST", "Observation", note)]}
    assert plan.post("", bundle, headers={"Idempotency-Key": "purge-bundle"}).status_code == 200
    target = {"reference": f"Condition/{condition.json()['id']}"}
    made(plan, {"resourceType": "Provenance", "target": [target], "recorded": "2026-01-01T00:00:00Z",
                "agent": [{"who": {"display": MARKER}}]})  # fmt: skip
    data = base64.b64encode(MARKER.encode() * 3).decode()
    binaries = [made(plan, {"resourceType": "Binary", "contentType": "text/plain", "data": data, **context})
                for context in ({}, {"securityContext": target})]  # fmt: skip
    made(plan, {"resourceType": "DocumentReference", "status": "current", "subject": subject,
                "content": [{"attachment": {"url": f"Binary/{binaries[0]['id']}"}}]})  # fmt: skip
    jobs = [
        answered_later(world, plan, entry("POST", "Observation", note)),
        answered_later(world, clinic, entry("GET", subject["reference"])),
    ]
    focus = made(clinic, referral.request(patient["id"], "clinic", support=True))["id"]
    task = made(clinic, referral.task(patient["id"], focus, "clinic", "plan"))
    walked(world, task, ("plan", "accepted"))
    world.work()
    group = world.roster(clinic)["id"]
    assert clinic.post(f"Group/{group}/$send-return-file?period=2026-01", None).status_code == 201
    assert plan.get(f"Patient?family={MARKER}").json()["total"] == 1
    return {"patient": patient, "binaries": binaries, "jobs": [*jobs, first], "condition": condition, "body": body}


def places(world: Scene, *texts: str) -> set[str]:
    """The tables, full-text ones with their inside, and the files that hold one of these texts."""
    wanted = [form for text in texts for form in (text.encode(), text.lower().encode())]
    world.server.engine.reads.drain()
    connection = world.server.engine.database.read()
    sqlite = world.server.engine.database.dialect == "sqlite"
    query = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    if sqlite:
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
    found = set()
    for name in connection.exec_driver_sql(query).scalars().all():
        for values in connection.exec_driver_sql(f'SELECT * FROM "{name}"'):
            if any(one in content for one in wanted for content in map(_bytes, values)):
                found.add(name)
    settings = world.server.engine.settings
    for root in (settings.folder, Path(settings.notice_folder)):
        for path in root.rglob("*"):
            if path.is_file() and any(one in path.read_bytes() for one in wanted):
                found.add(str(path.relative_to(root)))
    return {name for name in found if not name.startswith("exchange.db")}


def _bytes(value: Any) -> bytes:
    content = bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
    try:
        return zlib.decompress(content)
    except zlib.error:
        return content


def test_nothing_is_left_but_what_is_named(world: Scene, folder: Path) -> None:
    """A2, T32, "erasure that spares audit": tables, files, full text, kept answers, letters; the trail stays whole."""
    known = fill(world)
    fid = known["patient"]["id"]
    data = base64.b64encode(MARKER.encode() * 3).decode()
    before = places(world, MARKER, data)
    assert {"res", "hist", "str", "member", "parked", "file", "idempotency", "report_piece", "audit"} <= before
    assert any(name.startswith("words") for name in before)
    assert list(folder.iterdir()) != []
    answer = world.eraser.post(f"Patient/{fid}/$purge", NAMELESS)
    assert answer.status_code == 200, answer.text
    expire(world.server.engine)
    assert places(world, MARKER, data, cin(MEMBER)) - STAY == set()
    assert list(folder.iterdir()) == []
    assert world.member(world.clinic, OTHER)
    # What was done under a key is not done again, and tells nothing any more.
    again = world.plan.post("Condition", known["body"], headers={"Idempotency-Key": "purge-condition"})
    assert again.status_code == 404
    for client, job in zip((world.plan, world.clinic, world.plan), known["jobs"], strict=True):
        status = client.get(f"_jobs/{job}").json()
        assert (status["output"], "removed for good" in status["removed"]) == ([], True)
    # The next file that names the member begins anew.
    send(world, as_csv([member()]), mode="delta")
    assert world.member(world.plan, MEMBER)["id"] != fid


def test_files_under_way_and_held_come_first(world: Scene) -> None:
    """A record is not removed while a file may put it back: 409 while one is worked on, 422 while one is held."""
    send(world, as_csv([row(number, "street") for number in range(50, 60)]))
    fid = world.member(world.plan, 50)["id"]
    waiting = world.kick_off(world.plan, as_csv([row(50, "street")]), "delta")
    refused = world.eraser.post(f"Patient/{fid}/$purge", NAMELESS)
    assert (refused.status_code, refused.headers.get("Retry-After")) == (409, "10"), refused.text
    world.work()
    settings = world.server.engine.settings
    object.__setattr__(settings, "hold_drop_percent", 10)
    book = b"".join(FORMATS["xlsx"].write(table([row(50, "street")])))  # what it says is packed
    job, held = send(world, book, kind=FORMATS["xlsx"].media_types[0])
    object.__setattr__(settings, "hold_drop_percent", 100)
    assert held.json()["state"] == "held"
    refused = world.eraser.post(f"Patient/{fid}/$purge", NAMELESS)
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (422, "business-rule")
    assert call(world, "withdraw-file", job).status_code == 200
    assert world.eraser.post(f"Patient/{fid}/$purge", NAMELESS).status_code == 200
    assert world.plan.get(waiting.headers["Content-Location"]).json()["output"] == []


def test_what_is_no_part_of_the_record_stays(world: Scene) -> None:
    """A Provenance of two records, a Binary that two documents have, a row in which the number is the mother's."""
    plan = world.plan
    send(world, as_csv([row(70, "street"), row(71, "street")]), mode="delta")
    one, two = (world.member(plan, number)["id"] for number in (70, 71))
    child = row(70, "street", **{"Last Name": "Child", "First Name": "Ana", "Date of Birth": "01/01/2026"})
    send(world, as_csv([child]), mode="delta")
    both = [made(plan, {"resourceType": "Condition", "subject": {"reference": f"Patient/{who}"}}) for who in (one, two)]
    targets = [{"reference": f"Condition/{of['id']}"} for of in both]
    provenance = made(plan, {"resourceType": "Provenance", "target": targets, "recorded": "2026-01-01T00:00:00Z",
                             "agent": [{"who": {"display": "plan"}}]})  # fmt: skip
    binary = made(plan, {"resourceType": "Binary", "contentType": "text/plain", "data": "AAAA"})
    for who in (one, two):
        made(plan, {"resourceType": "DocumentReference", "status": "current",
                    "subject": {"reference": f"Patient/{who}"},
                    "content": [{"attachment": {"url": f"Binary/{binary['id']}"}}]})  # fmt: skip
    assert world.eraser.post(f"Patient/{one}/$purge", NAMELESS).status_code == 200
    for reference in (f"Provenance/{provenance['id']}", f"Binary/{binary['id']}", f"Condition/{both[1]['id']}"):
        assert plan.get(reference).status_code == 200, reference
    assert "Child" in plan.get("Group/$parked-rows").text
    assert world.eraser.post(f"Patient/{two}/$purge", NAMELESS).status_code == 200
    assert plan.get(f"Binary/{binary['id']}").status_code == 404


def test_words_are_merged_away_once(world: Scene) -> None:
    """The full-text index of SQLite keeps removed words until its segments are merged: done by the next tidying."""
    if world.server.engine.database.dialect != "sqlite":
        pytest.skip("PostgreSQL's vacuum does it")
    expire(world.server.engine)
    marks = world.server.engine.database.read().exec_driver_sql("SELECT name FROM setting").scalars().all()
    assert WORDS_TO_MERGE not in marks
