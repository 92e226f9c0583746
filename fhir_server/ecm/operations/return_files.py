"""Group/$return-files: the return files that were sent, version by version: of a roster, or all of the caller."""

from __future__ import annotations

import orjson

from fhir_server.ecm.files import exporting
from fhir_server.ecm.operations._sent import parts
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine import records
from fhir_server.engine.context import Context
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.store import reports

_NAME = "return-files"
_DEFINITION = f"{BASE}/OperationDefinition/Group-return-files"


def return_files(context: Context, request: Request) -> Response:
    """Parameters with one part for each version; 404 for a roster that is absent or hidden."""
    given = arguments(context.engine.definitions, _DEFINITION, request)
    mine = context.caller.org_hash
    if request.id:
        found = reports.of_roster(context.connection, exporting.roster(context, request, _NAME).rh)
    else:
        context.require("r", "Group")
        found = reports.of_party(context.connection, mine)
    shown = [
        {"name": "sent", "part": parts(row)}
        for row in found
        if mine in (row.plan, row.provider)
        and given.one("period", row.period) == row.period
        and given.one("file", row.kind) == row.kind
    ]
    records.log(context, _NAME, [], f"{len(shown)} versions")
    return Response(200, orjson.dumps({"resourceType": "Parameters", **({"parameter": shown} if shown else {})}))


OPERATION = Operation(
    name=_NAME,
    levels=("instance", "type"),
    types=("Group",),
    handler=return_files,
    methods=("GET", "POST"),
    definition=_DEFINITION,
)
