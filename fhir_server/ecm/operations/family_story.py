"""ServiceRequest/$family-story: the referrals of a family as one story, as far as the caller may know it."""

from __future__ import annotations

import orjson

from fhir_server.ecm.referrals import families
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine.context import Context
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response

_DEFINITION = f"{BASE}/OperationDefinition/ServiceRequest-family-story"


def family_story(context: Context, request: Request) -> Response:
    """200 and the stories; 404 where the caller may see none of the requests, 422 where it must name the requester."""
    context.require("s", "ServiceRequest")
    given = arguments(context.engine.definitions, _DEFINITION, request)
    told = families.family(context, str(given.one("requisition")), str(given.one("requester", "")))
    return Response(200, orjson.dumps(families.as_parameters(told)))


OPERATION = Operation(
    name="family-story",
    levels=("type",),
    types=("ServiceRequest",),
    handler=family_story,
    methods=("GET", "POST"),
    definition=_DEFINITION,
)
