"""FHIR batch and transaction interactions.  https://hl7.org/fhir/R4/http.html#transaction"""

from fhir_server.engine.context import Context
from fhir_server.fhir.errors import NotSupported
from fhir_server.rest.asynchronous import kick_off
from fhir_server.rest.batches import batch, transaction
from fhir_server.rest.bundle_entries import read_bundle
from fhir_server.rest.message import Interaction, Request, Response, wishes


def system(context: Context, request: Request) -> Response:
    """A batch-response or transaction-response; 400 for any other Bundle (B-61). A batch may be answered later."""
    kind, entries = read_bundle(request.body, context.engine.settings.max_bundle_bytes)
    if kind == "batch" and wishes(request, "respond-async"):
        return kick_off(context, request)
    if kind == "batch":
        return batch(context, request, entries)
    if kind == "transaction":
        return transaction(context, request, entries)
    message = f"A Bundle of type {kind} is stored with POST /Bundle; here only batch and transaction are processed."
    raise NotSupported(message, "Bundle.type")


INTERACTION = Interaction("transaction", "POST", "", system)
