"""FHIR create interaction, conditional create included.  https://hl7.org/fhir/R4/http.html#create"""

from fhir_server.engine import repository, writing
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Context, Transaction
from fhir_server.engine.writing import Draft
from fhir_server.fhir.errors import NotSupported
from fhir_server.rest.conditional import lock_criteria, one_match
from fhir_server.rest.message import Interaction, Request, Response, preference, version_headers
from fhir_server.rest.written import written
from fhir_server.search.include import Hit


def create(context: Context, request: Request) -> Response:
    """Store a new resource: 201; 200 and nothing written when If-None-Exist already matches one (B-54)."""
    context.require("c", request.type)
    new = writing.draft(context, request.type, request.body, request.resource)
    if "if-none-exist" not in request.headers:
        return written(context, request, repository.create(context, new, request.assigned_id or None))
    made = context.transact(lambda transaction: _create_or_find(transaction, request, new))
    if isinstance(made, Change):
        return written(context, request, made)
    return _found(context, request, made)


def _found(context: Context, request: Request, hit: Hit) -> Response:
    """The one there is, as this caller is shown it."""
    headers = version_headers(hit) | {"Location": f"{request.base}/{request.type}/{hit.fid}/_history/{hit.ver}"}
    shown = preference(request, "return") not in {"minimal", "OperationOutcome"}
    body = repository.show(context, "create", request.type, hit)
    return Response(200, body if shown else b"", headers, hit.ts)


def _create_or_find(transaction: Transaction, request: Request, new: Draft) -> Change | Hit:
    context, criteria = transaction.context, request.header("if-none-exist")
    if not criteria.strip():
        raise NotSupported("If-None-Exist is empty. Give it search parameters, such as identifier=system|value.")
    lock_criteria(transaction, request.type, criteria)
    found = one_match(context, request.type, criteria)
    return found or repository.create(context, new, request.assigned_id or None)


INTERACTION = Interaction("create", "POST", "{type}", create)
