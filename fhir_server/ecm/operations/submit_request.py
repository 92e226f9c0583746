"""ServiceRequest/$submit-request: anybody asks a plan for ECM or a Community Support, and gets a receipt."""

from __future__ import annotations

from typing import Any

import orjson

from fhir_server.ecm.requests import submitting
from fhir_server.ecm.requests.submitting import Submission
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.rest.arguments import Arguments, arguments, parameters, value
from fhir_server.rest.message import Operation, Request, Response

_BEAT_SECONDS = 0.1  # longer than either takes: a request about a member the plan knows, and about anybody else

_DEFINITION = f"{BASE}/OperationDefinition/ServiceRequest-submit-request"


def submit_request(context: Context, request: Request) -> Response:
    """200 and the receipt, whoever it is about; 400 for what no plan could act on, 429 for too many by one client."""
    context.require("c", "ServiceRequest")
    asked = _submission(arguments(context.engine.definitions, _DEFINITION, request))
    submitting.require_right(context, asked)
    receipt = context.transact(lambda open_: submitting.submit(open_, asked))
    repository.note(context, "submit-request", 200, receipt)
    return Response(200, orjson.dumps(parameters([value("receipt", "string", receipt)])))


def _submission(given: Arguments) -> Submission:
    return Submission(
        plan=str(given.one("plan").get("reference", "")),
        service=given.one("service"),
        priority=str(given.one("priority", "routine")),
        member=_texts(given.one("member")),
        asked_by=_texts(given.one("asked-by")),
        preferred=given.all("preferred-provider"),
        populations=given.all("population"),
        reason=str(given.one("reason", "")),
    )


def _texts(part: Arguments) -> dict[str, Any]:
    return {name: str(values[0]) for name, values in part.values.items()}


OPERATION = Operation(
    name="submit-request",
    levels=("type",),
    types=("ServiceRequest",),
    handler=submit_request,
    definition=_DEFINITION,
    beat=_BEAT_SECONDS,
)
