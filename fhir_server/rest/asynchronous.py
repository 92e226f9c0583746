"""`Prefer: respond-async` on a batch: 202 at once, the answers later as a file of a job.

https://hl7.org/fhir/R4/async.html

A job that is taken up again goes through its entries from the first: each has an Idempotency-Key of its own, so that
what was done before is answered again and not done again.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from fhir_server.engine.changes import Purged
from fhir_server.engine.context import Context, Transaction
from fhir_server.fhir import bundles
from fhir_server.jobs import files, limits, queue, remains
from fhir_server.jobs.job import Job, Run
from fhir_server.rest.batches import answers
from fhir_server.rest.bundle_entries import read_bundle
from fhir_server.rest.fetched import as_shown
from fhir_server.rest.message import Request, Response
from fhir_server.rest.once import HEADER

KIND = "batch"
_ASKED, ANSWERED = "request.json", "response.json"
_ID = re.compile(rb"[A-Za-z0-9\-.]{1,64}")
_MEDIA_TYPE = "application/fhir+json"
_CHUNK = 25  # entries between two looks at whether the job is still wanted

Dispatch = Callable[[Context, Request], Response]


def kick_off(context: Context, request: Request) -> Response:
    """202 with the status URL; Throttled (429) if the client has as many unfinished jobs as it may have."""
    limits.require_turn(context, context.connection)
    job_id = context.engine.ids.fid()
    limit = context.engine.settings.max_bundle_bytes
    files.keep(
        context.engine, context.caller.org_hash, job_id, _ASKED, _MEDIA_TYPE, [request.body], limit
    )  # fmt: skip
    asked = {"request": request.base, "base": request.base, "prefer": request.header("prefer")}
    asked["key"] = request.header(HEADER) or f"job-{job_id}"

    def work(transaction: Transaction) -> None:
        limits.require_turn(transaction.context, transaction.connection)
        queue.submit(transaction, job_id, KIND, asked)
        transaction.audit("batch-kick-off", 202, [])

    try:
        context.transact(work)
    except Exception:
        files.discard(context.engine, f"{job_id}.{_ASKED}")
        raise
    return Response(202, b"", {"Content-Location": f"{request.base}/_jobs/{job_id}"})


def job(dispatch: Dispatch) -> Job:
    """The kind of job that answers a batch; `dispatch` answers one entry."""
    return Job(KIND, partial(_work, dispatch))


def as_fetched(context: Context, request: Request, job_id: str, asked: Mapping[str, Any], kept: bytes) -> bytes:
    """The answers of a batch as its client may see them now; Gone (410) if it may not see what was done."""
    body = b"".join(files.read(context.engine.database.read(), f"{job_id}.{_ASKED}"))
    outer = replace(request, method="POST", path=(), parameters=(), headers={"prefer": asked["prefer"]}, body=body)
    return as_shown(context, outer, body, kept)


def forget(transaction: Transaction, gone: Purged) -> None:
    """on_purge: remove the files of batches in whose answers something of the record is named, whoever asked.

    Conflict (409) while a batch is worked on, or files of the record's owner are.
    """
    connection = transaction.connection
    remains.require_none_under_way(connection, gone.patient.owner, KIND)
    wanted = {fid.encode() for fid in gone.ids}
    found = set()
    for job_id, file_id, name in remains.with_files(connection, KIND):
        if name == ANSWERED and not wanted.isdisjoint(_ID.findall(b"".join(files.read(connection, file_id)))):
            found.add(job_id)
    remains.remove(connection, sorted(found))


def _work(dispatch: Dispatch, run: Run) -> None:
    context = run.context()
    body = b"".join(files.read(run.engine.database.read(), f"{run.id}.{_ASKED}"))
    headers = {"prefer": run.arguments["prefer"], HEADER: run.arguments["key"]}
    request = Request("POST", (), (), headers, body, run.arguments["base"], dispatch=dispatch)
    _, entries = read_bundle(body, run.engine.settings.max_bundle_bytes)
    made: list[bytes] = []
    for first in range(0, len(entries), _CHUNK):
        made += answers(context, request, entries[first : first + _CHUNK])
        told = f"{len(made)} of {len(entries)} entries"
        context.again().transact(partial(_tell, run, len(made), told))
    whole = bundles.bundle("batch-response", [], made)
    files.keep(run.engine, context.caller.org_hash, run.id, ANSWERED, _MEDIA_TYPE, [whole])
    output = [{"type": "Bundle", "name": ANSWERED, "count": len(made)}]
    context.again().transact(lambda transaction: run.finish(transaction, {"output": output}))


def _tell(run: Run, done: int, told: str, transaction: Transaction) -> None:
    run.save(transaction, {"entry": done}, told)
