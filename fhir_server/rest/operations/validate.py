"""$validate: whether a resource is right, and whether this write of it would be taken; nothing is stored (B-64).

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson

from fhir_server.engine import repository, writing
from fhir_server.engine.context import Context
from fhir_server.engine.transaction import rehearse
from fhir_server.fhir.errors import BadValue, FHIRError, Issue, NotSupported, RequiredMissing
from fhir_server.fhir.outcome import outcome_bytes
from fhir_server.rest.advising import advice
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.validation import attachments, structure

_DEFINITION = "http://hl7.org/fhir/OperationDefinition/Resource-validate"
_MODES = ("create", "update", "delete", "profile")
_OF_THE_RESOURCE = {400, 409, 412, 422}  # what a write answers because of what was sent

_MOST_ISSUES = 49  # an OperationOutcome holds 50, one of them may say that nothing is wrong

Write = Callable[[Context], object]


def validate(context: Context, request: Request) -> Response:
    """200 with an OperationOutcome, whatever it says; 404 if the URL names a resource that the caller does not see."""
    asked = arguments(context.engine.definitions, _DEFINITION, request)
    mode, profile = asked.one("mode", ""), asked.one("profile", "")
    _require_sense(request, mode, profile)
    resource = asked.one("resource")
    issues: list[Issue] = []
    if mode != "delete":
        issues += _issues(context, request.type, resource or _stored(context, request, mode), profile)
    if mode in {"create", "update", "delete"} and not _broken(issues):
        issues += _rehearsed(context, _write(request, mode, resource))
    repository.note(context, "validate", 200, "/".join(request.path))
    return Response(200, outcome_bytes(issues if _broken(issues) else [_RIGHT, *issues]))


_RIGHT = Issue("informational", "Nothing is wrong with it.", severity="information")


def _require_sense(request: Request, mode: str, profile: str) -> None:
    if mode and mode not in _MODES:
        raise BadValue(f"mode is one of {', '.join(_MODES)}.", "mode")
    if mode in {"update", "delete"} and not request.id:
        raise BadValue(f"mode {mode} is asked of one resource: POST [type]/[id]/$validate.", "mode")
    if mode == "profile" and not profile:
        raise RequiredMissing("mode profile needs the parameter profile.", "profile")


def _stored(context: Context, request: Request, mode: str) -> dict[str, Any]:
    if not request.id or mode in {"create", "update"}:
        raise RequiredMissing("Send the resource to be checked.", "resource")
    found: dict[str, Any] = orjson.loads(repository.read(context, request.type, request.id).body)
    return found


def _issues(context: Context, type_: str, resource: dict[str, Any], profile: str) -> list[Issue]:
    """What is wrong by base FHIR; if nothing is, by the profiles claimed, required or asked for, and their advice."""
    try:
        structure.check(type_, resource)
        attachments.check(type_, resource)
    except FHIRError as error:
        return list(error.issues)
    required = writing.required_profiles(context, type_, resource)
    required += [profile] if profile else []
    wrong = context.engine.profiles.check(type_, resource, required, now=context.now)
    return [*wrong, *advice(context, type_, resource, required)][:_MOST_ISSUES]


def _broken(issues: list[Issue]) -> bool:
    return any(issue.severity in {"error", "fatal"} for issue in issues)


def _write(request: Request, mode: str, resource: Mapping[str, Any] | None) -> Write:
    if mode == "delete":
        return partial(repository.delete, type_=request.type, fid=request.id)
    body = orjson.dumps(resource)
    if mode == "create":
        return lambda context: repository.create(context, writing.draft(context, request.type, body))
    return lambda context: repository.update(
        context, writing.draft(context, request.type, body), request.id, None, required=False
    )


def _rehearsed(context: Context, write: Write) -> list[Issue]:
    """What the write itself would be refused for: references, identities, rules of the exchange, rights."""
    if context.transaction:
        raise NotSupported("In a transaction, $validate checks the resource alone: leave out mode.", "mode")
    try:
        rehearse(context, write)
    except FHIRError as error:
        if error.status not in _OF_THE_RESOURCE:
            raise
        return list(error.issues)
    return []


OPERATION = Operation(
    name="validate",
    levels=("type", "instance"),
    types=(),
    handler=validate,
    methods=("GET", "POST"),
    definition=_DEFINITION,
)
