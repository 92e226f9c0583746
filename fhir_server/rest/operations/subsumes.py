"""CodeSystem/$subsumes: how two codes stand to each other.  https://hl7.org/fhir/R4/codesystem-operation-subsumes.html"""

from __future__ import annotations

import orjson

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BadValue, RequiredMissing
from fhir_server.rest.arguments import Arguments, arguments, parameters, value
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.rest.operations._codes import Asked, asked, concept_of, own_system, stored, system_of

_DEFINITION = "http://hl7.org/fhir/OperationDefinition/CodeSystem-subsumes"


def subsumes(context: Context, request: Request) -> Response:
    """The outcome equivalent, subsumes, subsumed-by or not-subsumed; 404 if the system or a code is not here."""
    context.require("r", "CodeSystem")
    given = arguments(context.engine.definitions, _DEFINITION, request)
    resource = stored(context, request)
    url = str(resource.get("url", "")) if resource else given.one("system", "")
    first, second = _code(given, "A", url), _code(given, "B", url)
    if first.system != second.system:
        raise BadValue("Both codes must be of one system.", "codingB")
    version = given.one("version", first.version)
    system = own_system(resource) if resource else system_of(context, first.system, version)
    for one in (first, second):
        concept_of(system, one)
    first, second = (one._replace(code=system.proper(one.code)) for one in (first, second))
    outcome = "not-subsumed"
    if first.code == second.code:
        outcome = "equivalent"
    elif system.is_under(second.code, first.code):
        outcome = "subsumes"
    elif system.is_under(first.code, second.code):
        outcome = "subsumed-by"
    repository.note(context, "subsumes", 200)
    return Response(200, orjson.dumps(parameters([value("outcome", "code", outcome)])))


def _code(given: Arguments, letter: str, url: str) -> Asked:
    if f"coding{letter}" in given:
        found = asked(given.one(f"coding{letter}"))
        return found._replace(system=found.system or url)
    if f"code{letter}" not in given:
        raise RequiredMissing(f"Give code{letter} or coding{letter}.", f"code{letter}")
    return Asked(url, given.one(f"code{letter}"))


OPERATION = Operation(
    name="subsumes",
    levels=("type", "instance"),
    types=("CodeSystem",),
    handler=subsumes,
    methods=("GET", "POST"),
    definition=_DEFINITION,
)
