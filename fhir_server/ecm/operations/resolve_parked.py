"""Group/$resolve-parked: parked rows of the caller's assignment files are looked at again."""

from __future__ import annotations

from fhir_server.ecm.files.assignments import deciding
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine.context import Context
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response

_DEFINITION = f"{BASE}/OperationDefinition/Group-resolve-parked"


def resolve_parked(context: Context, request: Request) -> Response:
    """202 with the status URL of the job; its result counts the rows taken in and those that go on waiting."""
    for letter, type_ in (("c", "Group"), ("c", "Patient"), ("u", "Patient"), ("u", "Group")):
        context.require(letter, type_)
    arguments(context.engine.definitions, _DEFINITION, request)  # there are none
    job_id = deciding.resolve(context, f"{request.base}/{'/'.join(request.path)}")
    return Response(202, b"", {"Content-Location": f"{request.base}/_jobs/{job_id}"})


OPERATION = Operation(
    name="resolve-parked",
    levels=("type",),
    types=("Group",),
    handler=resolve_parked,
    definition=_DEFINITION,
)
