"""FHIR capabilities interaction.  https://hl7.org/fhir/R4/http.html#capabilities"""

from fhir_server.engine.context import Context
from fhir_server.rest.capability import statement
from fhir_server.rest.message import Interaction, Request, Response


def capabilities(context: Context, request: Request) -> Response:
    """The CapabilityStatement, made from what is routed; needs no token (B-65)."""
    return Response(200, statement(context.engine, request.base))


INTERACTION = Interaction("capabilities", "GET", "metadata", capabilities, open=True)
