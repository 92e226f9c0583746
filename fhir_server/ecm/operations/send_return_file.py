"""Group/$send-return-file: a provider sends a return file, or its correction: a new version with its own number."""

from __future__ import annotations

import orjson

from fhir_server.ecm.files.returns import reporting, sending
from fhir_server.ecm.operations._sent import parts
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine.context import Context
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response

_NAME = "send-return-file"
_DEFINITION = f"{BASE}/OperationDefinition/Group-send-return-file"


def send_return_file(context: Context, request: Request) -> Response:
    """201 with what was sent; 200 with the version there is, if nothing has changed; 422 for any but the provider."""
    given = arguments(context.engine.definitions, _DEFINITION, request)
    row, is_new = sending.send(reporting.asked(context, request, given, _NAME))
    return Response(201 if is_new else 200, orjson.dumps({"resourceType": "Parameters", "parameter": parts(row)}))


OPERATION = Operation(
    name=_NAME,
    levels=("instance", "type"),
    types=("Group",),
    handler=send_return_file,
    definition=_DEFINITION,
)
