"""CodeSystem/$lookup: what is known of a code.  https://hl7.org/fhir/R4/codesystem-operation-lookup.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.rest.arguments import Arguments, arguments, parameters, parts, present, value
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.rest.operations._codes import codings, concept_of, in_language, refuse, speaks, system_of
from fhir_server.terminology.code_systems import Concept
from fhir_server.terminology.filters import System

_DEFINITION = "http://hl7.org/fhir/OperationDefinition/CodeSystem-lookup"
_CODES = frozenset({"parent", "child"})
_LANGUAGE = "lang."


def lookup(context: Context, request: Request) -> Response:
    """Name, display, designations and properties of a code; 404 if the system or the code is not here."""
    context.require("r", "CodeSystem")
    given = arguments(context.engine.definitions, _DEFINITION, request)
    refuse(given, ["date"])
    asked = codings(given)[0]
    system = system_of(context, asked.system, asked.version)
    concept = concept_of(system, asked)
    asked = asked._replace(code=system.proper(asked.code))
    repository.note(context, "lookup", 200)
    return Response(200, orjson.dumps(parameters(_told(asked.system, asked.code, system, concept, given))))


def _told(url: str, code: str, system: System, concept: Concept, given: Arguments) -> Iterator[dict[str, Any]]:
    language, wanted = given.one("displayLanguage", ""), set(given.all("property"))
    display = in_language(concept.designations, language) or concept.display or code
    rows = [("name", system.name or url), ("version", system.version or None), ("display", display)]
    yield from present((name, "string", text) for name, text in rows)
    for one in _designations(concept, wanted):
        kinds = ("language", "code"), ("use", "Coding"), ("value", "string")
        yield parts("designation", present((name, kind, one.get(name)) for name, kind in kinds))
    for name, content in _properties(system, code, concept, wanted):
        if not wanted or name in wanted:
            yield parts("property", [value("code", "code", name), *_value(system, name, content)])


def _designations(concept: Concept, wanted: set[str]) -> Sequence[Mapping[str, Any]]:
    """All of them, or those in the languages that are asked for as lang.es."""
    if not wanted or "designation" in wanted:
        return concept.designations
    languages = [name.removeprefix(_LANGUAGE) for name in wanted if name.startswith(_LANGUAGE)]
    return [one for one in concept.designations if any(speaks(one, language) for language in languages)]


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


def _value(system: System, name: str, content: Any) -> Iterator[dict[str, Any]]:
    """The value in the type that the system gives it; of a code above or below its display as well."""
    if isinstance(content, Mapping):
        yield value("value", "Coding", content)
        return
    kinds = ((bool, "boolean"), (int, "integer"), (float, "decimal"))
    plain = next((kind for type_, kind in kinds if isinstance(content, type_)), "string")
    yield value("value", "code" if name in _CODES else system.kinds.get(name, plain), content)
    related = system.find(content) if name in _CODES else None
    yield from present([("description", "string", related.display if related else None)])


OPERATION = Operation(
    name="lookup",
    levels=("type",),
    types=("CodeSystem",),
    handler=lookup,
    methods=("GET", "POST"),
    definition=_DEFINITION,
)
