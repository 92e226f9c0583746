"""$diff: what changed between two versions of a resource, as FHIRPath Patch.  https://hl7.org/fhir/R4/fhirpatch.html"""

import orjson

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir.difference import difference
from fhir_server.fhir.errors import BadValue
from fhir_server.rest.arguments import arguments, parameters
from fhir_server.rest.message import Operation, Request, Response

_DEFINITION = "urn:x-fhir-server:OperationDefinition/Resource-diff"


def diff(context: Context, request: Request) -> Response:
    """The operations that lead from one version to the other; 404 or 410 for a version that cannot be read."""
    asked = arguments(context.engine.definitions, _DEFINITION, request)
    later = asked.one("to") or repository.read(context, request.type, request.id).ver
    earlier = asked.one("from", later - 1)
    if earlier < 1:
        raise BadValue("There is one version only: give from, or look at its history.", "from")
    old, new = (repository.vread(context, request.type, request.id, number) for number in (earlier, later))
    found = difference(orjson.loads(old.body), orjson.loads(new.body))
    return Response(200, orjson.dumps(parameters(found)))


OPERATION = Operation(
    name="diff", levels=("instance",), types=(), handler=diff, methods=("GET", "POST"), definition=_DEFINITION
)
