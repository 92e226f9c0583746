"""FHIR capabilities interaction.  https://hl7.org/fhir/R4/http.html#capabilities"""

from fhir_server.engine.context import Context
from fhir_server.rest.capability import entity_tag, statement
from fhir_server.rest.conditional import is_known
from fhir_server.rest.message import Interaction, Request, Response
from fhir_server.rest.subset import subset


def capabilities(context: Context, request: Request) -> Response:
    """The CapabilityStatement, made from what is routed; needs no token (B-65). 304 if the client has it already."""
    headers = {"ETag": entity_tag(context.engine, request.base)}
    if is_known(request, headers["ETag"]):
        return Response(304, b"", headers)
    return Response(200, subset(context, request, statement(context.engine, request.base)), headers)


INTERACTION = Interaction("capabilities", "GET", "metadata", capabilities, open=True)
