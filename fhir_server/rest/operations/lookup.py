"""CodeSystem/$lookup: what is known of a code.  https://hl7.org/fhir/R4/codesystem-operation-lookup.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.rest.arguments import Arguments, arguments, parameters, parts, present, value
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.rest.operations._codes import codings, concept_of, refuse, system_of
from fhir_server.terminology.code_systems import Concept
from fhir_server.terminology.filters import System

_DEFINITION = "http://hl7.org/fhir/OperationDefinition/CodeSystem-lookup"
_CODES = frozenset({"parent", "child"})


def lookup(context: Context, request: Request) -> Response:
    """Name, display, designations and properties of a code; 404 if the system or the code is not here."""
    context.require("r", "CodeSystem")
    given = arguments(context.engine.definitions, _DEFINITION, request)
    refuse(given, ["date"])
    asked = codings(given)[0]
    system = system_of(context, asked.system, asked.version)
    concept = concept_of(system, asked)
    repository.note(context, "lookup", 200)
    return Response(200, orjson.dumps(parameters(_told(asked.system, asked.code, system, concept, given))))


def _told(url: str, code: str, system: System, concept: Concept, given: Arguments) -> Iterator[dict[str, Any]]:
    language, wanted = given.one("displayLanguage", ""), set(given.all("property"))
    display = in_language(concept, language) or concept.display or code
    rows = [("name", system.name or url), ("version", system.version or None), ("display", display)]
    yield from present((name, "string", text) for name, text in rows)
    if not wanted or "designation" in wanted:
        for one in concept.designations:
            kinds = ("language", "code"), ("use", "Coding"), ("value", "string")
            yield parts("designation", present((name, kind, one.get(name)) for name, kind in kinds))
    for name, content in _properties(system, code, concept, wanted):
        if not wanted or name in wanted:
            yield parts("property", [value("code", "code", name), _value(name, content)])


def _properties(system: System, code: str, concept: Concept, wanted: set[str]) -> Iterator[tuple[str, Any]]:
    if concept.definition:
        yield "definition", concept.definition
    for name, contents in concept.properties.items():
        for content in contents:
            if name != "parent":
                yield name, content
    for parent in concept.parents:
        yield "parent", parent
    for child in system.below(code) if "child" in wanted else ():
        below = system.find(child)
        if below and code in below.parents:
            yield "child", child


def _value(name: str, content: Any) -> dict[str, Any]:
    if isinstance(content, Mapping):
        return value("value", "Coding", content)
    kinds = ((bool, "boolean"), (int, "integer"), (float, "decimal"))
    kind = next((kind for type_, kind in kinds if isinstance(content, type_)), "code" if name in _CODES else "string")
    return value("value", kind, content)


def in_language(concept: Concept, language: str) -> str | None:
    """The term of a concept in a language; None if it has none."""
    fitting = (one.get("value") for one in concept.designations if language and one.get("language") == language)
    return next(fitting, None)


OPERATION = Operation(
    name="lookup",
    levels=("type",),
    types=("CodeSystem",),
    handler=lookup,
    methods=("GET", "POST"),
    definition=_DEFINITION,
)
