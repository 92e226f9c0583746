"""$meta: profiles, tags and labels of one resource.  https://hl7.org/fhir/R4/resource-operation-meta.html

Of all resources of a type, or of all there are, it is not offered: it would have to read them all.
"""

import orjson

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.rest.operations._meta import answered

_DEFINITION = "http://hl7.org/fhir/OperationDefinition/Resource-meta"


def meta(context: Context, request: Request) -> Response:
    """The meta of the current version; 404 or 410 as a read."""
    arguments(context.engine.definitions, _DEFINITION, request)
    row = repository.read(context, request.type, request.id)
    return answered(orjson.loads(row.body)["meta"])


OPERATION = Operation(
    name="meta", levels=("instance",), types=(), handler=meta, methods=("GET", "POST"), definition=_DEFINITION
)
