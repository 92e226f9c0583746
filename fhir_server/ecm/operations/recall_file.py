"""Group/$recall-file: the sending plan undoes one of its assignment files."""

from __future__ import annotations

from fhir_server.ecm.files.assignments import deciding
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine.context import Context
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response

_DEFINITION = f"{BASE}/OperationDefinition/Group-recall-file"


def recall_file(context: Context, request: Request) -> Response:
    """202 with the status URL of the job that undoes it; 404 for a file of somebody else, 422 if it is not in force."""
    for letter, type_ in (("u", "Group"), ("u", "Patient")):
        context.require(letter, type_)
    given = arguments(context.engine.definitions, _DEFINITION, request)
    address = f"{request.base}/{'/'.join(request.path)}"
    job_id = deciding.recall(context, str(given.one("job")), address)
    return Response(202, b"", {"Content-Location": f"{request.base}/_jobs/{job_id}"})


OPERATION = Operation(
    name="recall-file",
    levels=("type",),
    types=("Group",),
    handler=recall_file,
    definition=_DEFINITION,
)
