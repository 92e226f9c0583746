"""FHIR conditional delete.  https://hl7.org/fhir/R4/http.html#3.1.0.7.1"""

from urllib.parse import urlencode

from fhir_server.engine import repository
from fhir_server.engine.context import Context, Transaction
from fhir_server.fhir.errors import MultipleMatches, TooCostly
from fhir_server.rest.conditional import lock_criteria, matches, require_criteria, version_tag
from fhir_server.rest.message import Interaction, Request, Response

MOST = 100  # deleted by one request, where several are allowed


def delete_conditional(context: Context, request: Request) -> Response:
    """Delete what the criteria match: 204, also when that is nothing (B-56).

    Several are 412, or are all deleted together where the setting `conditional_delete` says multiple.
    """
    require_criteria(request)
    context.require("d", request.type)
    if not context.transact(lambda transaction: _delete(transaction, request)):
        repository.note(context, "delete", 204, f"{request.type}?{urlencode(list(request.parameters))}")
    return Response(204)


def _delete(transaction: Transaction, request: Request) -> int:
    """The number of resources that the criteria matched."""
    context = transaction.context
    lock_criteria(transaction, request.type, sorted(request.parameters))
    hits = matches(context, request.type, request.parameters, MOST + 1)
    if len(hits) > 1 and context.engine.settings.conditional_delete != "multiple":
        raise MultipleMatches(f"More than one {request.type} matches the criteria. Nothing was deleted.")
    if len(hits) > MOST:
        raise TooCostly(f"More than {MOST} match the criteria. Make them more exact; nothing was deleted.")
    tag = version_tag(request.header("if-match"))
    for hit in hits:
        repository.delete(context, request.type, hit.fid, tag)
    return len(hits)


INTERACTION = Interaction("delete-conditional", "DELETE", "{type}", delete_conditional)
