"""$meta-add: profiles, tags and labels added to a resource without a new version (B-63).

https://hl7.org/fhir/R4/resource-operation-meta-add.html
"""

from typing import Any

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.engine.meta import NAMES
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.rest.operations._meta import Meta, answered, united

_DEFINITION = "http://hl7.org/fhir/OperationDefinition/Resource-meta-add"


def meta_add(context: Context, request: Request) -> Response:
    """The meta afterwards; 422 if an added profile is not satisfied; what is there already stays as it is."""
    added = arguments(context.engine.definitions, _DEFINITION, request).one("meta")

    def edit(old: Meta) -> dict[str, Any]:
        return {name: united(old.get(name, ()), added.get(name, ())) for name in NAMES if name in old or name in added}

    return answered(repository.amend(context, request.type, request.id, edit))


OPERATION = Operation(
    name="meta-add", levels=("instance",), types=(), handler=meta_add, methods=("POST",), definition=_DEFINITION
)
