"""FHIR patch interaction.  https://hl7.org/fhir/R4/http.html#patch"""

from fhir_server.engine.context import Context
from fhir_server.rest.message import Interaction, Request, Response
from fhir_server.rest.patching import answer, edit, modify


def patch(context: Context, request: Request) -> Response:
    """Change the current version as the document says; 422 and nothing changed if a step of it fails (B-57)."""
    context.require("u", request.type)
    return answer(context, request, modify(context, request, request.id, edit(context, request)))


INTERACTION = Interaction("patch", "PATCH", "{type}/{id}", patch)
