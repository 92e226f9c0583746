"""The answer to a write, as the client prefers it.  https://hl7.org/fhir/R4/http.html#return"""

from fhir_server.engine import writing
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import Issue
from fhir_server.fhir.outcome import outcome_bytes
from fhir_server.rest.advising import advice
from fhir_server.rest.message import Request, Response, preference, version_headers

_DONE = Issue("informational", "Stored.", severity="information")
_MOST_ISSUES = 50


def written(context: Context, request: Request, change: Change) -> Response:
    """The answer to a write as `Prefer: return` asks for it (B-12): representation unless minimal or OperationOutcome.

    The OperationOutcome tells what profiles advise. 201 with its Location for what was not there before, deleted
    resources included; else 200.
    """
    row = change.row
    headers, status = version_headers(row), 200
    if change.before is None or change.before.deleted:
        status = 201
        headers["Location"] = f"{request.base}/{change.reference}/_history/{row.ver}"
    wish = preference(request, "return")
    if wish == "minimal":
        return Response(status, b"", headers, row.ts)
    if wish == "OperationOutcome":
        return Response(status, _told(context, change), headers, row.ts)
    return Response(status, row.body, headers, row.ts)


def _told(context: Context, change: Change) -> bytes:
    required = writing.required_profiles(context, change.type, change.resource)
    return outcome_bytes([_DONE, *advice(context, change.type, change.resource, required)][:_MOST_ISSUES])
