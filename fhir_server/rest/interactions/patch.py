"""FHIR patch interaction with JSON Patch.  https://hl7.org/fhir/R4/http.html#patch and RFC 6902"""

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import FHIRError, Unprocessable
from fhir_server.rest.conditional import version_tag
from fhir_server.rest.json_patch import apply, operations
from fhir_server.rest.message import Interaction, Request, Response, written

_BAD_REQUEST = 400


def patch(context: Context, request: Request) -> Response:
    """Change the current version as the operations say; 422 and nothing changed if one of them fails (B-57)."""
    context.require("u", request.type)
    tag = version_tag(request.header("if-match"))
    steps = operations(request.body)
    try:
        change = repository.modify(
            context, request.type, request.id, tag, lambda row: apply(steps, row.body, request.type)
        )
    except FHIRError as error:
        if error.status != _BAD_REQUEST:
            raise
        raise Unprocessable(issues=error.issues) from error  # not the request is malformed: its result would be
    answer = written(request, change)
    if not context.caller.scopes.allows("r", request.type):
        answer.body = b""  # what the client did not send itself it must have a scope to read
    return answer


INTERACTION = Interaction("patch", "PATCH", "{type}/{id}", patch)
