"""$reindex: search parameters that were posted become searchable; rows of an older release are made anew.

Only the operator of the exchange may ask for it; nothing of what is indexed is shown.
"""

from fhir_server.engine.context import Context
from fhir_server.engine.transaction import Transaction
from fhir_server.fhir.errors import Forbidden
from fhir_server.jobs import queue, reindex
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response

_DEFINITION = "urn:x-fhir-server:OperationDefinition/reindex"


def start(context: Context, request: Request) -> Response:
    """202 with the status URL of the job; 403 for anybody but the operator."""
    if not context.caller.operator:
        raise Forbidden("Only the operator of the exchange may have resources indexed anew.")
    arguments(context.engine.definitions, _DEFINITION, request)
    job_id = context.engine.ids.fid()
    asked = {"request": f"{request.base}/$reindex"}

    def work(transaction: Transaction) -> None:
        queue.submit(transaction, job_id, reindex.KIND, asked)
        transaction.audit("reindex-kick-off", 202, [])

    context.transact(work)
    return Response(202, b"", {"Content-Location": f"{request.base}/_jobs/{job_id}"})


OPERATION = Operation(name="reindex", levels=("system",), types=(), handler=start, definition=_DEFINITION)
