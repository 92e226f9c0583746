"""$relabel: labels of what is stored, by the code lists and law classes there are now.

Only the operator of the exchange may ask for it; nothing of what is labelled is shown.
"""

from fhir_server.engine.context import Context
from fhir_server.engine.transaction import Transaction
from fhir_server.fhir.errors import Forbidden
from fhir_server.jobs import queue, relabel
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response

_DEFINITION = "urn:x-fhir-server:OperationDefinition/relabel"


def start(context: Context, request: Request) -> Response:
    """202 with the status URL of the job; 403 for anybody but the operator."""
    if not context.caller.operator:
        raise Forbidden("Only the operator of the exchange may have resources labelled anew.")
    arguments(context.engine.definitions, _DEFINITION, request)
    job_id = context.engine.ids.fid()
    asked = {"request": f"{request.base}/$relabel"}

    def work(transaction: Transaction) -> None:
        queue.submit(transaction, job_id, relabel.KIND, asked)
        transaction.audit("relabel-kick-off", 202, [])

    context.transact(work)
    return Response(202, b"", {"Content-Location": f"{request.base}/_jobs/{job_id}"})


OPERATION = Operation(name="relabel", levels=("system",), types=(), handler=start, definition=_DEFINITION)
