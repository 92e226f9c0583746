"""Search parameters posted to the server, and rows of an older release: both by $reindex."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, update

from fhir_server.engine.index_rows import LISTS
from fhir_server.fhir.definitions import type_number
from fhir_server.jobs.worker import Worker
from fhir_server.store.hashing import rh
from fhir_server.store.members import LAST
from fhir_server.store.tables import contained, member, ref, res, tok
from fhir_server.store.tables.full_text import words
from tests.live import Client, LiveServer, running
from tests.reliability.inspection import _check_index
from tests.served import organization

pytestmark = pytest.mark.heavy

MARITAL = {
    "resourceType": "SearchParameter", "url": "http://p.example/marital", "name": "Marital", "status": "active",
    "description": "a", "code": "marital", "base": ["Patient"], "type": "token", "expression": "Patient.maritalStatus",
}  # fmt: skip
LEASE = 31_000


class Killed(BaseException):
    """What ends a worker at once."""


@pytest.fixture
def server(database_url: str, tmp_path: Any) -> Iterator[LiveServer]:
    with running(database_url, tmp_path, embedded_worker=False) as live:
        yield live


operator = organization("registrar", scope="function", law_class="operator")
clinic = organization("clinic", scope="function")


def made(client: Client, body: dict[str, Any]) -> str:
    answer = client.post(body["resourceType"], body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def patients(client: Client, codes: str) -> list[str]:
    return [
        made(client, {"resourceType": "Patient", "maritalStatus": {"coding": [{"code": code}]}, "active": True})
        for code in codes
    ]


def kicked_off(operator: Client) -> str:
    answer = operator.post("$reindex", {"resourceType": "Parameters"})
    assert answer.status_code == 202, answer.text
    return str(answer.headers["Content-Location"])


def reindexed(operator: Client) -> Any:
    """The job's last answer."""
    url = kicked_off(operator)
    assert operator.get(url).status_code == 202
    assert Worker(operator.server.engine).work_once()
    return operator.get(url)


def found(client: Client, query: str) -> set[str]:
    answer = client.get(query)
    assert answer.status_code == 200, answer.text
    return {one["resource"]["id"] for one in answer.json().get("entry", ())}


def listed(client: Client) -> set[str]:
    rows = {row["type"]: row for row in client.get("metadata").json()["rest"][0]["resource"]}
    return {param["name"] for param in rows["Patient"]["searchParam"]}


@pytest.mark.long
def test_a_posted_parameter_becomes_searchable(clinic: Client, operator: Client) -> None:
    """Refused before, complete afterwards, for old and new resources; in /metadata; gone with its resource."""
    first, second, *_ = patients(clinic, "MSM")
    fid = made(operator, MARITAL)
    assert clinic.get("Patient?marital=M").status_code == 400
    assert clinic.post("$reindex", {"resourceType": "Parameters"}).status_code == 403
    done = reindexed(operator)
    assert done.status_code == 200, done.text
    assert done.json()["added"] == [MARITAL["url"]]
    assert done.json()["indexed"] >= 3
    assert len(found(clinic, "Patient?marital=M")) == 2
    assert found(clinic, "Patient?marital:not=M") == {second}
    clinic.put(f"Patient/{first}", {"resourceType": "Patient", "id": first, "active": True})
    later = patients(clinic, "M")
    assert found(clinic, "Patient?marital=M") >= set(later)
    assert first not in found(clinic, "Patient?marital=M")
    assert found(clinic, "Patient?marital:missing=true") == {first}
    assert "marital" in listed(clinic)
    assert operator.delete(f"SearchParameter/{fid}").status_code == 204
    assert reindexed(operator).json()["removed"] == [MARITAL["url"]]
    assert clinic.get("Patient?marital=M").status_code == 400
    assert "marital" not in listed(clinic)


def test_nothing_done_is_no_success(clinic: Client, operator: Client) -> None:
    """A job that had nothing to do, or only parameters that cannot be, fails and says so."""
    patients(clinic, "M")
    for refused in (
        {"code": "gender"}, {"type": "composite"}, {"expression": "Patient.maritalStatus.where(text.matches('a'))"},
        {"expression": "Patient.photo"}, {"code": "a_b"}, {"base": ["DomainResource"], "code": "any"},
    ):  # fmt: skip
        made(operator, {**MARITAL, **refused, "url": f"http://p.example/{min(refused.items())[0]}"})
    made(operator, {**MARITAL, "status": "draft"})
    answer = reindexed(operator)
    assert answer.status_code == 422
    [issue] = answer.json()["issue"]
    assert issue["code"] == "business-rule"
    assert issue["diagnostics"].startswith("Nothing was done")
    assert clinic.get("Patient?marital=M").status_code == 400


def tables(server: LiveServer) -> dict[str, set[Any]]:
    reading = server.engine.database.read()
    return {table.name: {tuple(row) for row in reading.execute(select(table))} for table in (*LISTS, words)}


def resources(server: LiveServer) -> int:
    """How many are stored, the parts that only some see left aside."""
    query = select(func.count()).select_from(res).where(res.c.view == 0, res.c.deleted.is_(False))
    return int(server.engine.database.read().execute(query).scalar_one())


def grow_old(server: LiveServer) -> None:
    """As if an older release, which knew of no lists and no words, had stored all that is there."""

    def work(connection: Any) -> None:
        for table in (*LISTS, words, contained):
            connection.execute(delete(table))
        connection.execute(update(res).values(gen=1))

    server.engine.database.write(work)


def with_everything(clinic: Client) -> None:
    [patient] = patients(clinic, "M")
    subject = {"reference": f"Patient/{patient}"}
    code = {"coding": [{"system": "s", "code": "c"}]}
    made(clinic, {"resourceType": "Observation", "status": "final", "code": code, "subject": subject,
                  "valueQuantity": {"value": 5, "unit": "mg"}})  # fmt: skip
    made(clinic, {"resourceType": "Location", "position": {"latitude": 34.1, "longitude": -118.0}, "name": "A"})
    made(clinic, {"resourceType": "RiskAssessment", "status": "final", "subject": subject,
                  "prediction": [{"probabilityDecimal": 0.5}], "occurrenceDateTime": "2026"})  # fmt: skip


@pytest.mark.long
def test_rows_of_an_older_release(server: LiveServer, clinic: Client, operator: Client) -> None:
    """Migrations 0002, 0007, 0009: what they left empty is filled, exactly as writes of today would; once is enough."""
    with_everything(clinic)
    before = tables(server)
    assert all(before[name] for name in ("tok", "num", "qty", "comp", "geo", "words"))
    grow_old(server)
    assert found(clinic, "Observation?value-quantity=5") == set()
    done = reindexed(operator).json()
    assert done["indexed"] == resources(server)
    assert tables(server) == before
    assert reindexed(operator).status_code == 422


def test_what_was_contained_before(server: LiveServer, clinic: Client, operator: Client) -> None:
    """Migration 0019: contained resources of an older release are found, and by parameters of their own type alone."""
    [patient] = patients(clinic, "M")
    inner = {"resourceType": "Medication", "id": "m", "code": {"text": "a"}, "form": {"coding": [{"code": "round"}]}}
    fid = made(clinic, {"resourceType": "MedicationRequest", "status": "active", "intent": "order",
                        "subject": {"reference": f"Patient/{patient}"}, "contained": [inner],
                        "medicationReference": {"reference": "#m"}})  # fmt: skip
    grow_old(server)
    assert found(clinic, "Medication?form=round&_contained=true") == set()
    assert reindexed(operator).json()["indexed"] == resources(server)
    assert found(clinic, "Medication?form=round&_contained=true") == {fid}
    _check_index(server.engine)
    shape = {"base": ["Medication"], "code": "shape", "expression": "Medication.form", "url": "http://p.example/shape"}
    made(operator, {**MARITAL, **shape})
    assert reindexed(operator).json()["indexed"] == 1
    assert found(clinic, "Medication?shape=round&_contained=true") == {fid}
    _check_index(server.engine)
    assert reindexed(operator).status_code == 422


def test_a_roster_keeps_its_members(server: LiveServer, clinic: Client, operator: Client) -> None:
    """Members do not stand in a roster's body: their rows outlive $reindex, and an update under a new generation."""
    roster = made(clinic, {"resourceType": "Group", "type": "person", "actual": True})
    group, patient = rh(f"Group/{roster}"), rh("Patient/x")
    param = server.engine.params["Group", "member"]
    row = dict.fromkeys((column.name for column in member.columns), "") | {
        "tenant": 1, "part": 1, "grp": group, "patient": patient, "key": "k", "change": "new", "from_version": 1,
        "to_version": LAST, "begins": 0, "ends": 0, "row_hash": 0, "row": b"", "shown": None,
    }  # fmt: skip
    server.engine.database.write(lambda connection: connection.execute(insert(member), [row]))
    grow_old(server)
    query = select(ref.c.tgt).where(ref.c.param == param)
    assert reindexed(operator).json()["indexed"] == resources(server)
    assert patient in server.engine.database.read().execute(query).scalars().all()
    server.engine.database.write(lambda connection: connection.execute(update(res).values(gen=1)))
    body = {"resourceType": "Group", "id": roster, "type": "person", "actual": True, "name": "a"}
    assert clinic.put(f"Group/{roster}", body).status_code == 200
    assert patient in server.engine.database.read().execute(query).scalars().all()


def test_a_killed_worker_is_continued(server: LiveServer, clinic: Client, operator: Client) -> None:
    """Resumable and observable: the next worker goes on behind the last chunk; what is written meanwhile is right."""
    with_everything(clinic)
    fid = patients(clinic, "M")[0]
    made(operator, MARITAL)
    before = tables(server)
    grow_old(server)
    url = kicked_off(operator)
    engine, left = server.engine, [3]

    def killing(_context: Any, _changes: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    engine.hooks.after_commit.append(killing)
    with pytest.raises(Killed):
        Worker(engine).work_once()
    engine.hooks.after_commit.remove(killing)
    progress = operator.get(url)
    assert progress.status_code == 202
    assert "resources indexed" in progress.headers["X-Progress"]
    clinic.put(f"Patient/{fid}", {"resourceType": "Patient", "id": fid, "active": False})
    real = engine.clock
    engine.clock = lambda: real() + LEASE
    clinic.authorize_once()
    try:
        assert Worker(engine).work_once()
    finally:
        engine.clock = real
    done = operator.get(url)
    assert done.status_code == 200, done.text
    assert resources(server) - 1 <= done.json()["indexed"] <= resources(server)  # one was written meanwhile
    assert found(clinic, "Patient?marital=M") == found(clinic, "Patient?active=true")
    assert len(tables(server)["qty"]) == len(before["qty"])


@pytest.mark.long
def test_writes_go_on_meanwhile(server: LiveServer, clinic: Client, operator: Client) -> None:
    """Every list is exactly what the bodies ask for, whoever wrote what while rows were made anew."""
    fids = patients(clinic, "MSMS" * 5)
    made(operator, MARITAL)
    server.engine.database.write(lambda connection: connection.execute(update(res).values(gen=1)))
    url, stop, written = kicked_off(operator), threading.Event(), []

    def write() -> None:
        while not stop.is_set():
            fid, code = fids[len(written) % len(fids)], "MSW"[len(written) % 3]
            body = {"resourceType": "Patient", "id": fid, "maritalStatus": {"coding": [{"code": code}]}}
            assert clinic.put(f"Patient/{fid}", body).status_code == 200
            written.extend(patients(clinic, code))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert Worker(server.engine).work_once()
    finally:
        stop.set()
        writer.join()
    assert operator.get(url).status_code == 200
    assert len(written) > 3
    _check_index(server.engine)
    param = server.engine.params["Patient", "marital"]
    rows = select(tok.c.rid, tok.c.val).where(tok.c.param == param)
    current = select(res.c.rid, res.c.body).where(res.c.type == type_number("Patient"), res.c.view == 0)
    reading = server.engine.database.read()
    found = {(rid, val) for rid, val in reading.execute(rows) if val}
    expected = {
        (rid, coding["code"])
        for rid, body in reading.execute(current)
        for coding in json.loads(bytes(body)).get("maritalStatus", {}).get("coding", ())
    }
    assert found == expected


@pytest.mark.long
def test_another_process_follows(server: LiveServer, clinic: Client, operator: Client, tmp_path: Any) -> None:
    """A process that had no part in it searches and indexes by the new parameter a moment later."""
    fids = patients(clinic, "MS")
    url = server.engine.settings.url
    with running(url, tmp_path / "other", embedded_worker=False) as other:
        there = Client(other, clinic.id, clinic.key, clinic.scopes)
        assert there.get("Patient?marital=M").status_code == 400
        made(operator, MARITAL)
        assert reindexed(operator).status_code == 200
        time.sleep(0.6)
        assert found(there, "Patient?marital=M") == {fids[0]}
        assert found(clinic, "Patient?marital=S") == {fids[1]}
        new = patients(there, "S")
        assert found(clinic, "Patient?marital=S") == {fids[1], *new}
