"""Patient/$purge: a record removed for good, by who wrote it.  The audit trail stays."""

from fhir_server.engine import purging
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import Issue
from fhir_server.fhir.outcome import outcome_bytes
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response

_DEFINITION = "urn:x-fhir-server:OperationDefinition/Patient-purge"


def purge(context: Context, request: Request) -> Response:
    """200 and what was removed; 403 without the right, 404 if the Patient is not seen, 422 if it is another's."""
    arguments(context.engine.definitions, _DEFINITION, request)
    removed = purging.purge(context, request.id)
    told = ", ".join(f"{number} {type_}" for type_, number in removed.items())
    return Response(200, outcome_bytes([Issue("informational", f"Removed for good: {told}.", severity="information")]))


OPERATION = Operation(
    name="purge",
    levels=("instance",),
    types=("Patient",),
    handler=purge,
    methods=("POST",),
    definition=_DEFINITION,
)
