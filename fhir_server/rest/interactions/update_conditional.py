"""FHIR conditional update.  https://hl7.org/fhir/R4/http.html#cond-update"""

from fhir_server.engine import repository, writing
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Context, Transaction
from fhir_server.engine.writing import Draft
from fhir_server.fhir.errors import BadValue
from fhir_server.rest.conditional import lock_criteria, one_match, require_criteria, version_tag
from fhir_server.rest.message import Interaction, Request, Response
from fhir_server.rest.written import written


def update_conditional(context: Context, request: Request) -> Response:
    """Update the one match or create: 0 matches 201, 1 match 200, several 412 (B-55); 405 without criteria."""
    require_criteria(request)
    context.require("u", request.type)
    new = writing.draft(context, request.type, request.body, request.resource)
    change = context.transact(lambda transaction: _update_or_create(transaction, request, new))
    return written(context, request, change)


def _update_or_create(transaction: Transaction, request: Request, new: Draft) -> Change:
    context = transaction.context
    lock_criteria(transaction, request.type, sorted(request.parameters))
    found = one_match(context, request.type, request.parameters)
    given = new.resource.get("id")
    if found is None:
        if given:
            return repository.update(context, new, given, None, required=False)
        return repository.create(context, new, request.assigned_id or None)
    if given not in (None, found.fid):
        raise BadValue("The criteria match a resource with another id than the body's. Leave the id out.", "id")
    tag = version_tag(request.header("if-match"))
    same = Draft(new.type, new.body, {**new.resource, "id": found.fid})
    return repository.update(context, same, found.fid, tag)


INTERACTION = Interaction("update-conditional", "PUT", "{type}", update_conditional)
