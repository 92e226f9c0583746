"""An assignment import whose server is killed five times ends as one that was never disturbed (P11, P12, F17)."""

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import select

from fhir_server.ecm.files.formats import FORMATS
from fhir_server.fhir.definitions import type_names
from fhir_server.store.db import Database
from fhir_server.store.tables import access, file, hist, job, member, rel, res
from tests.ecm.files.samples import LAYOUT, make_mif, mif_row, npi
from tests.live import Client
from tests.reliability.inspection import check_everything, opened
from tests.reliability.load import Memory
from tests.reliability.site import Site, chance, cycles, site

ROWS, PROVIDERS = 2500, 6
NPI = "http://hl7.org/fhir/sid/us-npi"
CSV = {"Content-Type": "text/csv"}
# The next server need not wait long for the job of the one that died; half of the roster may go by one file.
HELD = {"lease_seconds": "2", "hold_drop_percent": "100"}


def earlier_file() -> bytes:
    """Members of whom some are changed by the next file and some are absent from it."""
    random = Random(7)
    numbers = [*range(200), *range(ROWS + 100, ROWS + 300)]
    rows = [mif_row(number, random, PROVIDERS) for number in numbers]
    cells = [[row.get(column.name, "") for column in LAYOUT.columns] for row in rows]
    return b"".join(FORMATS["csv"].write(iter([[column.header for column in LAYOUT.columns], *cells])))


def plan(server: Site) -> Client:
    """The plan's client, with the organizations that the files name."""
    client = server.client("harbor", rights="update-create assign")
    server.start()
    body = {"resourceType": "Organization", "id": "harbor", "active": True, "name": "Harbor Health Plan"}
    assert client.put("Organization/harbor", body).status_code == 201
    for number in range(PROVIDERS):
        known = {"system": NPI, "value": npi(number)}
        body = {"resourceType": "Organization", "active": True, "name": f"Provider {number}", "identifier": [known]}
        assert client.post("Organization", body).status_code == 201
    return client


def kick_off(client: Client, body: bytes, mode: str = "full") -> str:
    answer = client.post(f"Group/$import-assignments?mode={mode}", body, headers=CSV)
    assert answer.status_code == 202, answer.text
    return str(answer.headers["Content-Location"])


def finished(client: Client, status: str) -> dict[str, Any]:
    """The manifest, once the job is done."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        answer = client.get(status)
        if answer.status_code == 200:
            manifest: dict[str, Any] = answer.json()
            return manifest
        assert answer.status_code == 202, answer.text
        time.sleep(0.1)
    message = "the import does not end"
    raise AssertionError(message)


def disturbed(server: Site, client: Client, body: bytes, kills: int, random: Random) -> tuple[dict[str, Any], int]:
    """The same, with the server killed after it stored something; the manifest and how many kills there were."""
    status, done, before = kick_off(client, body), 0, b""
    with opened(server.url) as database:
        while done < kills:
            state, cursor = progress(database, status)
            if state == "completed":
                break
            if cursor == before:
                time.sleep(0.005)
                continue
            time.sleep(random.uniform(0, 0.15))
            server.kill()
            done, before = done + 1, progress(database, status)[1]
            server.start()
    return finished(client, status), done


def progress(database: Database, status: str) -> tuple[str, bytes]:
    query = select(job.c.state, job.c.cursor).where(job.c.id == status.rpartition("/")[2])
    state, cursor = database.read().execute(query).one()
    return state, bytes(cursor)


def picture(database: Database) -> dict[str, Any]:
    """What an import leaves, without what differs from run to run: ids and instants."""
    read = database.read()
    versions = Counter()
    for table in (res, hist):
        versions.update((type_names()[number], table.name) for number in read.execute(select(table.c.type)).scalars())
    npis = {}
    patients = []
    for type_, fid, view, body in read.execute(select(res.c.type, res.c.fid, res.c.view, res.c.body)):
        resource = json.loads(bytes(body))
        if type_names()[type_] == "Organization" and "identifier" in resource:
            npis[fid] = resource["identifier"][0]["value"]
        if type_names()[type_] == "Patient":
            patients.append((view, json.dumps({**resource, "id": "", "meta": ""}, sort_keys=True)))
    rows = [
        (npis[row.provider_fid], row.key, row.change, row.from_version, row.to_version, row.begins, row.row_hash)
        for row in read.execute(select(member))
    ]
    counts = {t.name: len(read.execute(select(t)).all()) for t in (access, rel)}
    return {"versions": versions, "patients": sorted(patients), "members": sorted(rows), **counts}


def responses(client: Client, manifest: dict[str, Any]) -> list[bytes]:
    found = [client.get(output["url"]) for output in manifest["output"]]
    assert {answer.status_code for answer in found} == {200}
    return [answer.content for answer in found]


def numbers(manifest: dict[str, Any]) -> dict[str, Any]:
    """Every number in the manifest."""
    return {name: value for name, value in _flat(manifest).items() if isinstance(value, int) and "version" not in name}


def _flat(node: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(node, (dict, list)):
        return {path: node}
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    return {key: value for name, child in pairs for key, value in _flat(child, f"{path}.{name}").items()}


@pytest.mark.long
def test_an_import_killed_five_times_ends_like_an_undisturbed_one(
    database_kind: str, fresh_url: Callable[[str], str], tmp_path: Path
) -> None:
    """P11, P12, F17, on both databases; and the same file again writes nothing."""
    random, kills, body = chance(), cycles("IMPORT", 5), make_mif(ROWS, 0.03, 1, "csv", PROVIDERS)
    with site(fresh_url(database_kind), tmp_path / "clean", **HELD) as clean:
        client = plan(clean)
        finished(client, kick_off(client, earlier_file()))
        wanted = finished(client, kick_off(client, body))
        files = responses(client, wanted)
        clean.stop()
        with opened(clean.url) as database:
            expected = picture(database)
    with site(fresh_url(database_kind), tmp_path / "killed", **HELD) as killed:
        client = plan(killed)
        finished(client, kick_off(client, earlier_file()))
        found, done = disturbed(killed, client, body, kills, random)
        assert numbers(found) == numbers(wanted)
        assert responses(client, found) == files
        with opened(killed.url) as database:
            there = picture(database)
        for name, value in expected.items():
            assert there[name] == value, name
        again = finished(client, kick_off(client, body))
        with opened(killed.url) as database:
            after = picture(database)
            assert after == there
            assert database.read().execute(select(file.c.id)).first()
        killed.stop()
        check_everything(killed.url, killed.folder, killed.base, Memory())
        unexpected = killed.unexpected()
    print(f"{done} kills; {numbers(found)}; again: {numbers(again)}")
    assert done == kills
    assert unexpected == []
