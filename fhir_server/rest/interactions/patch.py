"""FHIR patch interaction with JSON Patch.  https://hl7.org/fhir/R4/http.html#patch and RFC 6902"""

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.rest.conditional import version_tag
from fhir_server.rest.json_patch import apply, operations
from fhir_server.rest.message import Interaction, Request, Response, written


def patch(context: Context, request: Request) -> Response:
    """Change the current version as the operations say; 422 and nothing changed if one of them fails (B-57)."""
    context.require("u", request.type)
    tag = version_tag(request.header("if-match"))
    steps = operations(request.body)
    change = repository.modify(context, request.type, request.id, tag, lambda row: apply(steps, row.body, request.type))
    return written(request, change, 200)


INTERACTION = Interaction("patch", "PATCH", "{type}/{id}", patch)
