"""FHIR batch and transaction interactions.  https://hl7.org/fhir/R4/http.html#transaction"""

from fhir_server.engine.context import Context
from fhir_server.fhir.errors import Invalid, NotSupported
from fhir_server.rest.batches import batch, read_bundle, transaction
from fhir_server.rest.message import Interaction, Request, Response


def system(context: Context, request: Request) -> Response:
    """A batch-response or transaction-response; 400 for any other Bundle (B-61)."""
    kind, entries = read_bundle(request.body, context.engine.settings.max_bundle_bytes)
    if kind == "batch":
        return batch(context, request, entries)
    if kind == "transaction":
        return transaction(context, request, entries)
    if kind in {"document", "message", "searchset", "history", "collection", "batch-response", "transaction-response"}:
        raise NotSupported(f"A Bundle of type {kind} is stored with POST /Bundle; here only batch and transaction.")
    raise Invalid("Bundle.type must be batch or transaction.", "Bundle.type")


INTERACTION = Interaction("transaction", "POST", "", system)
