"""Group/$withdraw-file: the sending plan gives up a held assignment file."""

from __future__ import annotations

from fhir_server.ecm.files.assignments import deciding
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import Issue
from fhir_server.fhir.outcome import outcome_bytes
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response

_DEFINITION = f"{BASE}/OperationDefinition/Group-withdraw-file"


def withdraw_file(context: Context, request: Request) -> Response:
    """200 with an OperationOutcome; 404 for a file of somebody else, 422 for one that is not held."""
    context.require("u", "Group")
    given = arguments(context.engine.definitions, _DEFINITION, request)
    deciding.withdraw(context, str(given.one("job")))
    done = Issue("informational", "The file was withdrawn. Nothing of it was taken in.", severity="information")
    return Response(200, outcome_bytes([done]))


OPERATION = Operation(
    name="withdraw-file",
    levels=("type",),
    types=("Group",),
    handler=withdraw_file,
    definition=_DEFINITION,
)
