"""Operations that start a job of the operator's over all that is stored; nothing of it is shown."""

from __future__ import annotations

from functools import partial

from fhir_server.engine.context import Context, Transaction
from fhir_server.fhir.errors import Forbidden
from fhir_server.jobs import queue
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response


def operator_job(kind: str, done: str) -> Operation:
    """The system operation that starts jobs of this kind; `done` says what becomes of resources: "indexed anew"."""
    definition = f"urn:x-fhir-server:OperationDefinition/{kind}"
    handler = partial(_start, kind, done, definition)
    return Operation(name=kind, levels=("system",), types=(), handler=handler, definition=definition)


def _start(kind: str, done: str, definition: str, context: Context, request: Request) -> Response:
    """202 with the status URL of the job; 403 for anybody but the operator."""
    if not context.caller.operator:
        raise Forbidden(f"Only the operator of the exchange may have resources {done}.")
    arguments(context.engine.definitions, definition, request)
    job_id = context.engine.ids.fid()
    asked = {"request": f"{request.base}/${kind}"}

    def work(transaction: Transaction) -> None:
        queue.submit(transaction, job_id, kind, asked)
        transaction.audit(f"{kind}-kick-off", 202, [])

    context.transact(work)
    return Response(202, b"", {"Content-Location": f"{request.base}/_jobs/{job_id}"})
