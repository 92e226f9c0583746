"""Task/$clr-data-set: what a plan keeps per referral, as a file or as the resources behind it, for any past instant."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from fhir_server.ecm import closed_loop
from fhir_server.ecm.closed_loop import Referral
from fhir_server.ecm.files import exporting, rendering
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine.context import Context
from fhir_server.fhir.values import instant
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response

_DEFINITION = f"{BASE}/OperationDefinition/Task-clr-data-set"
_FHIR = ("fhir", "application/fhir+json")
_TYPES = ("Task", "ServiceRequest", "Patient", "Communication")


def clr_data_set(context: Context, request: Request) -> Response:
    """The data set; X-As-Of gives the same bytes again. 403 if the token lacks a type it is made of."""
    given = arguments(context.engine.definitions, _DEFINITION, request)
    context.require("s", "Task")
    for type_ in _TYPES:
        context.require("r", type_)
    period = exporting.reporting_period(context, given.one("period"))
    as_of = exporting.state_of_knowledge(context, given)
    found = list(closed_loop.referrals(context, period, as_of))
    headers = exporting.as_of_header(as_of)
    if given.one("format", request.header("accept").partition(";")[0].strip()) in _FHIR:
        return Response(200, _bundle(request, found, as_of), headers)
    form = exporting.chosen_format(request, given)
    lines = [[column["header"] for column in closed_loop.columns()], *(closed_loop.row(context, one) for one in found)]
    body = b"".join(rendering.render(form, lines))
    return exporting.attached(f"{closed_loop.NAME}-{period.text}", form, body, headers)


def _bundle(request: Request, found: Sequence[Referral], as_of: int) -> bytes:
    entries = [
        {"fullUrl": f"{request.base}/{one['resourceType']}/{one['id']}", "resource": one}
        for one in closed_loop.resources(found)
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "timestamp": instant(as_of)}
    return orjson.dumps({**bundle, "entry": entries} if entries else bundle)


OPERATION = Operation(
    name=closed_loop.NAME,
    levels=("type",),
    types=("Task",),
    handler=clr_data_set,
    methods=("GET", "POST"),
    definition=_DEFINITION,
    answers_file=True,
)
