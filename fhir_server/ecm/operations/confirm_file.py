"""Group/$confirm-file: the sending plan lets a held assignment file be taken in."""

from __future__ import annotations

from fhir_server.ecm.files.assignments import deciding
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine.context import Context
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response

_DEFINITION = f"{BASE}/OperationDefinition/Group-confirm-file"


def confirm_file(context: Context, request: Request) -> Response:
    """202 with the job's status URL; 404 for a file of somebody else, 422 for one that is not held."""
    context.require("u", "Group")
    given = arguments(context.engine.definitions, _DEFINITION, request)
    job_id = deciding.confirm(context, str(given.one("job")))
    return Response(202, b"", {"Content-Location": f"{request.base}/_jobs/{job_id}"})


OPERATION = Operation(
    name="confirm-file",
    levels=("type",),
    types=("Group",),
    handler=confirm_file,
    definition=_DEFINITION,
)
