"""FHIR read interaction.  https://hl7.org/fhir/R4/http.html#read"""

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.rest.conditional import is_unchanged
from fhir_server.rest.message import Interaction, Request, Response, version_headers
from fhir_server.rest.subset import subset


def read(context: Context, request: Request) -> Response:
    """The current version; 304 if the client has it already; 404 absent or hidden, 410 deleted."""
    row = repository.read(context, request.type, request.id)
    headers = {**version_headers(row), **repository.extra_headers(context, request.type, row)}
    if is_unchanged(request, row, headers["ETag"]):
        return Response(304, b"", headers, row.ts)
    return Response(200, subset(context, request, row.body), headers, row.ts)


INTERACTION = Interaction("read", "GET", "{type}/{id}", read)
