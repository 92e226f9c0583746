"""Task/$record-answer: the requester or the plan records what an organization without a system answered."""

from __future__ import annotations

from fhir_server.ecm.referrals import reported
from fhir_server.ecm.referrals.reported import Answer
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine.context import Context
from fhir_server.rest.arguments import arguments
from fhir_server.rest.conditional import version_tag
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.rest.written import written

_DEFINITION = f"{BASE}/OperationDefinition/Task-record-answer"
_TEXTS = ("status", "by", "channel", "at", "reason", "loop", "closure")


def record_answer(context: Context, request: Request) -> Response:
    """The Task as it is now; 404 for one that is hidden, 412 by If-Match, 422 if it is not the caller's to record."""
    context.require("r", "Task")
    context.require("u", "Task")
    given = arguments(context.engine.definitions, _DEFINITION, request)
    texts = {name: str(given.one(name, "")) for name in _TEXTS}
    organization = str(given.one("organization", {}).get("reference", ""))
    answer = Answer(**texts, organization=organization)
    tag = version_tag(request.header("if-match"))
    return written(context, request, context.transact(lambda open_: reported.record(open_, request.id, tag, answer)))


OPERATION = Operation(
    name="record-answer",
    levels=("instance",),
    types=("Task",),
    handler=record_answer,
    definition=_DEFINITION,
)
