"""A job keeps no rights that its client has lost: it stops with a clear outcome, and stores no further chunk."""

from typing import Any

import orjson
import pytest
from sqlalchemy import select, update

from fhir_server.engine import repository, writing
from fhir_server.jobs import queue
from fhir_server.jobs.job import Job, Run
from fhir_server.jobs.worker import Worker
from fhir_server.smart import clients
from fhir_server.smart.tokens import authenticate
from fhir_server.store.tables import audit, client, job
from tests.live import LiveServer
from tests.served import server_of_a_file

BASIC = {"resourceType": "Basic", "code": {"text": "a"}}
CHUNKS = 4


server = server_of_a_file(embedded_worker=False)


def work_through(server: LiveServer, name: str, values: dict[str, Any]) -> tuple[str, dict[str, Any], int]:
    """(state, result, Basics stored) of a job whose client's registration changes before its third chunk is stored."""
    engine = server.engine
    hands = server.client(name, scopes="system/Basic.cruds system/Patient.rs", rights="assign")
    token = hands.authorize()
    who = authenticate(engine.database.read(), token, engine.clock())

    def change(connection: Any) -> int:
        return int(connection.execute(update(client).where(client.c.id == name).values(**values)).rowcount)

    def run_chunks(run: Run) -> None:
        for number in range(CHUNKS):
            if number == 2:
                engine.database.write(change)

            def chunk(transaction: Any, number: int = number) -> None:
                body = orjson.dumps(BASIC)
                repository.create(transaction.context, writing.draft(transaction.context, "Basic", body))
                run.save(transaction, {"chunk": number}, f"{number}")

            run.context().transact(chunk)
        run.context().transact(lambda transaction: run.finish(transaction, {"output": []}))

    engine.jobs["probe"] = Job("probe", run_chunks)
    context = engine.context(who, "r")
    job_id = engine.ids.fid()
    context.transact(lambda transaction: queue.submit(transaction, job_id, "probe", {}))
    assert Worker(engine).work_once()
    state, result = engine.database.read().execute(select(job.c.state, job.c.result).where(job.c.id == job_id)).one()
    engine.reads.drain()
    wanted = select(audit.c.outcome).where(audit.c.interaction == "create", audit.c.client == name)
    stored = len(engine.database.read().execute(wanted).all())
    return state, orjson.loads(bytes(result)), stored


@pytest.mark.parametrize(("name", "values", "said"), [
    ("ended", {"active": False}, "was deactivated"),
    ("narrowed", {"scopes": "system/Basic.rs system/Patient.rs"}, "has lost scopes"),
    ("disarmed", {"rights": ""}, "has lost scopes, rights"),
    ("elsewhere", {"organization": "Organization/other"}, "is another organization's now"),
    ("reclassed", {"law_class": "non-hipaa"}, "law class"),
    ("repurposed", {"purposes": "HPAYMT"}, "its purpose"),
])  # fmt: skip
def test_a_job_stops_when_its_client_loses_rights(
    server: LiveServer, name: str, values: dict[str, Any], said: str
) -> None:
    """L9, T13: at the next chunk, at once and not after some tries; what was stored before stays, an event tells."""
    state, result, stored = work_through(server, name, values)
    assert (state, result["status"], stored) == ("failed", 403, 2)
    issue = result["outcome"]["issue"][0]
    assert (issue["code"], said in issue["diagnostics"]) == ("forbidden", True)
    wanted = select(audit.c.outcome).where(audit.c.interaction == "job-failed", audit.c.client == name)
    assert server.engine.database.read().execute(wanted).scalars().all() == [403]


def test_a_registration_that_was_extended_stops_nothing(server: LiveServer) -> None:
    """More scopes and rights than before cover what the job acts with."""
    more = {"scopes": "system/*.cruds", "rights": "assign purge", "purposes": "TREAT HPAYMT"}
    assert work_through(server, "extended", more) == ("completed", {"output": []}, CHUNKS)


def test_a_job_of_an_ended_client_does_not_begin(server: LiveServer) -> None:
    """T13: it fails the first time."""
    hands = server.client("gone")
    entry = {"request": {"method": "GET", "url": "Basic"}}
    begun = hands.post(
        "", {"resourceType": "Bundle", "type": "batch", "entry": [entry]}, headers={"Prefer": "respond-async"}
    )
    clients.deactivate(server.engine.database, "gone")
    assert Worker(server.engine).work_once()
    job_id = begun.headers["Content-Location"].rpartition("/")[2]
    row = server.engine.database.read().execute(select(job.c.state, job.c.attempts).where(job.c.id == job_id)).one()
    assert tuple(row) == ("failed", 1)
