"""FHIR conditional patch.  https://hl7.org/fhir/R4/http.html#patch"""

from fhir_server.engine.changes import Change
from fhir_server.engine.context import Context, Transaction
from fhir_server.fhir.errors import NotFound
from fhir_server.rest.conditional import lock_criteria, one_match, require_criteria
from fhir_server.rest.message import Interaction, Request, Response
from fhir_server.rest.patching import Edit, answer, edit, modify


def patch_conditional(context: Context, request: Request) -> Response:
    """Patch the one resource that the criteria match; 404 if there is none, 412 if there are several (B-56)."""
    require_criteria(request)
    context.require("u", request.type)
    change = edit(context, request)
    return answer(context, request, context.transact(lambda transaction: _patch(transaction, request, change)))


def _patch(transaction: Transaction, request: Request, change: Edit) -> Change:
    context = transaction.context
    lock_criteria(transaction, request.type, sorted(request.parameters))
    found = one_match(context, request.type, request.parameters)
    if found is None:
        raise NotFound("There is no such resource.")
    return modify(context, request, found.fid, change)


INTERACTION = Interaction("patch-conditional", "PATCH", "{type}", patch_conditional)
