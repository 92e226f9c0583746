"""Group/$decide-parked: the plan says what a parked row of its own means: a newborn, or nothing."""

from __future__ import annotations

import orjson

from fhir_server.ecm import merging
from fhir_server.ecm.files.assignments import newborns
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine.context import Context, Transaction
from fhir_server.fhir.errors import BadValue
from fhir_server.rest.arguments import Arguments, arguments, parameters, value
from fhir_server.rest.message import Operation, Request, Response

_DEFINITION = f"{BASE}/OperationDefinition/Group-decide-parked"


def decide_parked(context: Context, request: Request) -> Response:
    """200, and for a newborn its Patient; 404 for a row that does not wait, 422 for what it cannot be."""
    given = arguments(context.engine.definitions, _DEFINITION, request)
    merging.require_right(context)
    for letter, type_ in (("c", "Group"), ("c", "Patient"), ("c", "RelatedPerson")):
        context.require(letter, type_)
    if given.one("decision") not in {newborns.NEWBORN, newborns.WITHDRAW}:
        raise BadValue(f"decision is {newborns.NEWBORN} or {newborns.WITHDRAW}.", "decision")
    made = context.transact(lambda open_: _decided(open_, given))
    found = [value("patient", "Reference", {"reference": made})] if made else []
    return Response(200, orjson.dumps(parameters(found)))


def _decided(transaction: Transaction, given: Arguments) -> str | None:
    row = newborns.waiting(transaction, str(given.one("job")), int(given.one("row")))
    if given.one("decision") == newborns.WITHDRAW:
        newborns.withdraw(transaction, row)
        return None
    return newborns.take_in(transaction, row, str(given.one("number", "")))


OPERATION = Operation(
    name="decide-parked",
    levels=("type",),
    types=("Group",),
    handler=decide_parked,
    definition=_DEFINITION,
)
