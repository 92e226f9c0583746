"""FHIR vread interaction.  https://hl7.org/fhir/R4/http.html#vread"""

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import NotFound
from fhir_server.rest.message import Interaction, Request, Response, version_headers
from fhir_server.rest.subset import subset


def vread(context: Context, request: Request) -> Response:
    """One version; 404 if there is none the caller may see, 410 if that version is the deletion."""
    number = request.path[3]
    if not number.isdecimal() or len(number) > 9:  # noqa: PLR2004 - the digits of a 32-bit version
        raise NotFound("There is no such version.")
    row = repository.vread(context, request.type, request.id, int(number))
    return Response(200, subset(context, request, row.body), version_headers(row), row.ts)


INTERACTION = Interaction("vread", "GET", "{type}/{id}/_history/{vid}", vread)
