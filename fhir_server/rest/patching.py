"""What the forms of patch have in common: a document becomes an edit of stored bytes, a failure of it 422.

https://hl7.org/fhir/R4/http.html#patch
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import orjson

from fhir_server.engine import repository
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Context
from fhir_server.fhir import wire
from fhir_server.fhir.errors import BusinessRule, FHIRError, Unprocessable
from fhir_server.rest import fhirpath_patch, json_patch
from fhir_server.rest.conditional import version_tag
from fhir_server.rest.message import Request, Response
from fhir_server.rest.negotiation import JSON_PATCH
from fhir_server.rest.written import written

Edit = Callable[[bytes], bytes]

_BAD_REQUEST = 400
_COMPUTED, _MORE_THAN_DATA = {"generated", "extensions"}, "additional"
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def edit(context: Context, request: Request) -> Edit:
    """The change that a request's body asks for; Unprocessable (422) if the body is no patch document (row 64).

    Forbidden (403) for one that asks what the resource says, by a test or a condition, without a scope to read it.
    """
    form = json_patch if request.header("content-type").startswith(JSON_PATCH) else fhirpath_patch
    with _unprocessable():
        steps: Any = form.operations(request.body)
    if form.asks(steps):
        context.require("r", request.type)
    return lambda body: form.apply(steps, body, request.type)


def modify(context: Context, request: Request, fid: str, change: Edit) -> Change:
    """The resource changed and stored; 422 and nothing changed if the result would be no valid resource (B-57)."""
    tag = version_tag(request.header("if-match"))
    with _unprocessable():
        return repository.modify(context, request.type, fid, tag, lambda row: _safely(row.body, change(row.body)))


def _safely(before: bytes, after: bytes) -> bytes:
    """The patched body without a narrative of what it was before, which would tell readers what no longer holds.

    BusinessRule (422) where the narrative says more than the data: nobody but its author can mend it.
    https://hl7.org/fhir/R4/http.html#patch
    """
    if b'"text"' not in after:
        return after
    old, new = _MEMBERS.decode(before), _MEMBERS.decode(after)
    if "text" not in new or old.get("text") != new["text"] or old == new:
        return after
    status = orjson.loads(bytes(new["text"])).get("status")
    if status in _COMPUTED:
        return wire.edit(after, {("text",): wire.DELETE})
    if status == _MORE_THAN_DATA:
        raise BusinessRule(
            "The narrative (text.status is additional) says more than the data, and would no longer agree with them. "
            "Replace text in the same patch, or send the whole resource.", "text",
        )  # fmt: skip
    return after


@contextmanager
def _unprocessable() -> Iterator[None]:
    """Not the request is malformed, but the document in it, or what it would lead to: 422 instead of 400."""
    try:
        yield
    except FHIRError as error:
        if error.status != _BAD_REQUEST:
            raise
        raise Unprocessable(issues=error.issues) from error


def answer(context: Context, request: Request, change: Change) -> Response:
    """The answer to a patch; what the client did not send itself it must have a scope to read."""
    response = written(context, request, change)
    if not context.caller.scopes.allows("r", request.type):
        response.body = b""
    return response
