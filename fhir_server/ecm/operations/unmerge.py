"""Patient/$unmerge: a plan undoes a merge of two Patients."""

from __future__ import annotations

from fhir_server.ecm import unmerging
from fhir_server.ecm.operations import _merges
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine.context import Context
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response

_DEFINITION = f"{BASE}/OperationDefinition/Patient-unmerge"


def unmerge(context: Context, request: Request) -> Response:
    """200 with the result; 403 without the right, 404 for a Patient that is hidden, 422 if they are not merged."""
    given = arguments(context.engine.definitions, _DEFINITION, request)
    source, target = _merges.named(given, "source"), _merges.named(given, "target")
    return _merges.answer(context, given, "unmerge", lambda open_: unmerging.unmerge(open_, source, target))


OPERATION = Operation(
    name="unmerge",
    levels=("type",),
    types=("Patient",),
    handler=unmerge,
    definition=_DEFINITION,
)
