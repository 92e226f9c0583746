"""$meta-delete: profiles and tags taken from a resource without a new version; security labels stay (B-63).

https://hl7.org/fhir/R4/resource-operation-meta-delete.html
"""

from typing import Any

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.engine.meta import NAMES
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.rest.operations._meta import Meta, answered, without

_DEFINITION = "http://hl7.org/fhir/OperationDefinition/Resource-meta-delete"


def meta_delete(context: Context, request: Request) -> Response:
    """The meta afterwards; 422 for a security label; what is not there is gone already."""
    gone = arguments(context.engine.definitions, _DEFINITION, request).one("meta")

    def edit(old: Meta) -> dict[str, Any]:
        return {name: without(old[name], gone.get(name, ())) for name in NAMES if name in old}

    return answered(repository.amend(context, request.type, request.id, edit))


OPERATION = Operation(
    name="meta-delete", levels=("instance",), types=(), handler=meta_delete, methods=("POST",), definition=_DEFINITION
)
