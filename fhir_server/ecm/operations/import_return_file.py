"""Group/[id]/$import-return-file: an ECM provider's return file in, by the same row rules as an assignment file."""

from __future__ import annotations

from fhir_server.ecm.files import exporting, receiving
from fhir_server.ecm.files.returns.importing import KIND, LAYOUT
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BusinessRule
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response

_DEFINITION = f"{BASE}/OperationDefinition/Group-import-return-file"
_NEEDED = (("c", "EpisodeOfCare"), ("u", "EpisodeOfCare"), ("u", "Task"), ("c", "Provenance"))


def import_return_file(context: Context, request: Request) -> Response:
    """202 with the status URL once format and header are right; 404 for a hidden roster, 413, 415, 422 for the file."""
    for letter, type_ in _NEEDED:
        context.require(letter, type_)
    given = arguments(context.engine.definitions, _DEFINITION, request)
    group = exporting.roster(context, request, KIND)
    if group.owner != context.caller.org_hash:
        raise BusinessRule("A return file is taken in by the plan whose roster it is. Send it to the plan.")
    return receiving.take(context, request, KIND, given, {"layout": LAYOUT, "facts": {}, "group": group.fid})


OPERATION = Operation(
    name=KIND,
    levels=("instance",),
    types=("Group",),
    handler=import_return_file,
    definition=_DEFINITION,
    reads_stream=True,
)
