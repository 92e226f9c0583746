"""Patient/$merge: a plan makes two records of one member one, so that it can be undone."""

from __future__ import annotations

from fhir_server.ecm import merging
from fhir_server.ecm.operations import _merges
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine.context import Context
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response

_DEFINITION = f"{BASE}/OperationDefinition/Patient-merge"


def merge(context: Context, request: Request) -> Response:
    """200 with the result; 403 without the right, 404 for a Patient that is hidden, 422 for what cannot be merged."""
    given = arguments(context.engine.definitions, _DEFINITION, request)
    source, target = _merges.named(given, "source"), _merges.named(given, "target")
    may_see = [str(one.get("reference", "")) for one in given.all("may-see")]
    return _merges.answer(context, given, "merge", lambda open_: merging.merge(open_, source, target, may_see))


OPERATION = Operation(
    name="merge",
    levels=("type",),
    types=("Patient",),
    handler=merge,
    definition=_DEFINITION,
)
