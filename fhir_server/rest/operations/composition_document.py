"""Composition/$document: a stored Composition with all it refers to.

https://hl7.org/fhir/R4/composition-operation-document.html
"""

import orjson

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import NotSupported
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.rest.operations._document import answered, seen, targets

_DEFINITION = "http://hl7.org/fhir/OperationDefinition/Composition-document"


def document(context: Context, request: Request) -> Response:
    """A Bundle of type document; it is not stored. 404 or 410 as a read of the Composition."""
    given = arguments(context.engine.definitions, _DEFINITION, request)
    for name in ("id", "graph"):
        if name in given:
            raise NotSupported(f"{name} is not offered.", name)
    if given.flag("persist"):
        raise NotSupported("Documents are not stored. POST the Bundle to /Bundle if you want to keep it.", "persist")
    row = repository.read(context, "Composition", request.id)
    rows = seen(context, targets(orjson.loads(row.body)))
    return answered(context, request, (f"Composition/{row.fid}", row.body), rows)


OPERATION = Operation(
    name="document",
    levels=("instance",),
    types=("Composition",),
    handler=document,
    methods=("GET", "POST"),
    definition=_DEFINITION,
)
