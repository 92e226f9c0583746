"""FHIR delete interaction.  https://hl7.org/fhir/R4/http.html#delete"""

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.rest.conditional import version_tag
from fhir_server.rest.message import Interaction, Request, Response, etag


def delete(context: Context, request: Request) -> Response:
    """Mark a resource deleted: 204, also when it was deleted before; 404 if it is absent or hidden (B-10)."""
    change = repository.delete(context, request.type, request.id, version_tag(request.header("if-match")))
    return Response(204, b"", {"ETag": etag(change.row)} if change else {})


INTERACTION = Interaction("delete", "DELETE", "{type}/{id}", delete)
