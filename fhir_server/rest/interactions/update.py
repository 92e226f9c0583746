"""FHIR update interaction.  https://hl7.org/fhir/R4/http.html#update"""

from fhir_server.engine import repository, writing
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BadValue
from fhir_server.rest.conditional import wanted_version
from fhir_server.rest.message import Interaction, Request, Response
from fhir_server.rest.written import written
from fhir_server.validation.primitives import problem


def update(context: Context, request: Request) -> Response:
    """Store the next version: 200, or 201 when a client with that right takes a free id (B-04)."""
    if problem("id", request.id):
        message = "The id in the URL must be 1 to 64 of A-Z a-z 0-9 - and . (no spaces or slashes)."
        raise BadValue(message, "id")
    context.require("u", request.type)
    tag = wanted_version(request)
    new = writing.draft(context, request.type, request.body, request.resource)
    change = repository.update(context, new, request.id, tag)
    return written(context, request, change)


INTERACTION = Interaction("update", "PUT", "{type}/{id}", update)
