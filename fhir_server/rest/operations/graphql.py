"""$graphql: a query in GraphQL, of one resource or of the whole server.  https://hl7.org/fhir/R4/graphql.html"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from graphql import GraphQLError

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir import wire
from fhir_server.fhir.errors import BadValue, FHIRError, UnknownType, Unseen
from fhir_server.rest.arguments import arguments
from fhir_server.rest.beat import BEAT_SECONDS
from fhir_server.rest.graphql import failures
from fhir_server.rest.graphql.answering import Query, answered
from fhir_server.rest.message import Operation, Request, Response

_DEFINITION = "http://hl7.org/fhir/OperationDefinition/Resource-graphql"
_JSON = {"Content-Type": "application/json; charset=utf-8"}
_TEXT = "application/graphql"
_BESIDE = {"operationName", "variables"}


def graphql(context: Context, request: Request) -> Response:
    """200 with `data`; else `errors`, each with its place and an OperationOutcome, under the status of the first."""
    try:
        return Response(200, answered(context, _query(context, request), request.type, request.id), dict(_JSON))
    except failures.Refused as refused:
        return _failed(context, request, refused)
    except (FHIRError, GraphQLError) as error:
        told = error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)
        return _failed(context, request, failures.Refused([told]))


def _failed(context: Context, request: Request, refused: failures.Refused) -> Response:
    cause = refused.cause
    if not isinstance(cause, Unseen | UnknownType):
        repository.note(context, "graphql", cause.status, "/".join(request.path))
    return Response(cause.status, failures.body(refused.errors), {**cause.headers, **_JSON})


def _query(context: Context, request: Request) -> Query:
    """What is asked: in the URL, as application/graphql, as JSON in GraphQL's own form, or in a Parameters resource."""
    beside: dict[str, Any] = {name: text for name, text in request.parameters if name in _BESIDE}
    parameters = [pair for pair in request.parameters if pair[0] not in _BESIDE]
    if "variables" in beside:
        beside["variables"] = wire.parse(beside["variables"].encode())
    body = request.body
    if body and request.media_type == _TEXT:
        beside["query"], body = _decoded(body), b""
    elif body and "resourceType" not in (given := wire.parse(body)):
        beside, body = beside | given, b""
    if "query" in beside:
        parameters.append(("query", _text(beside, "query")))
    found = arguments(context.engine.definitions, _DEFINITION, replace(request, parameters=parameters, body=body))
    variables = beside.get("variables", {})
    if not isinstance(variables, dict | None):
        raise BadValue("variables is an object: the values by their names.", "variables")
    return Query(found.one("query"), _text(beside, "operationName"), variables or {})


def _text(given: Mapping[str, Any], name: str) -> str:
    text = given.get(name) or ""
    if not isinstance(text, str):
        raise BadValue(f"{name} is a text.", name)
    return text


def _decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise BadValue("The query is not UTF-8.") from None


OPERATION = Operation(
    name="graphql",
    levels=("system", "instance"),
    types=(),
    handler=graphql,
    methods=("GET", "POST"),
    definition=_DEFINITION,
    beat=BEAT_SECONDS,
    also_takes=(_TEXT,),
)
