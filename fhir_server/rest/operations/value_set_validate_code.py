"""ValueSet/$validate-code: whether a code belongs to a value set.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html
"""

from __future__ import annotations

from collections.abc import Mapping

from fhir_server.engine.context import Context
from fhir_server.fhir.errors import RequiredMissing
from fhir_server.rest.arguments import Arguments, arguments
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.rest.operations._codes import (
    Asked,
    codings,
    in_language,
    refuse,
    value_set,
    verdict,
    wrong_display,
    wrong_kind,
)
from fhir_server.terminology.codes import Terminology, contains
from fhir_server.terminology.members import Members
from fhir_server.terminology.value_sets import Versions

_DEFINITION = "http://hl7.org/fhir/OperationDefinition/ValueSet-validate-code"


def validate_code(context: Context, request: Request) -> Response:
    """Parameters with `result`; of a CodeableConcept one right coding is enough; 404 if the value set is not here."""
    context.require("r", "ValueSet")
    given = arguments(context.engine.definitions, _DEFINITION, request)
    refuse(given, ["context", "date"])
    terminology = context.engine.terminology
    wanted = codings(given, version="systemVersion")
    if "code" in given and not wanted[0].system:
        raise RequiredMissing("A code needs its system.", "system")
    resource = value_set(context, request, given)
    message, display = "", None
    known: dict[tuple[str, str], dict[str, Members]] = {}
    for asked in wanted:
        key = (asked.system, asked.version) if asked.version else ("", "")
        if key not in known:
            known[key] = terminology.composed(resource, Versions({key[0]: key[1]}) if asked.version else None)
        message, display = _judged(terminology, known[key], asked, given)
        if not message:
            break
    return verdict(context, "validate-code", message, display)


def _judged(
    terminology: Terminology, members: Mapping[str, Members], asked: Asked, given: Arguments
) -> tuple[str, str | None]:
    """What is wrong with a code, "" if nothing is, and its display."""
    one = members.get(asked.system, Members())
    if wrong := _wrong_version(terminology, one, asked):
        return wrong, None
    system = one.source or (terminology.system(asked.system, asked.version) if asked.system else None)
    concept = system.find(asked.code) if system else None
    asked = asked._replace(code=system.proper(asked.code)) if system else asked
    found = contains(members, asked.system, asked.code)
    if found is None:
        return f"Whether {asked.code[:64]} belongs to the value set cannot be told from what is here.", None
    if not found:
        return f"The value set does not contain the code {asked.code[:64]} of {asked.system[:64]}.", None
    language = given.one("displayLanguage", "")
    terms = one.designations.get(asked.code) or (concept.designations if concept else ())
    named = in_language(terms, language) or one.codes.get(asked.code)
    display = named or (concept.display if concept else None)
    if wrong := wrong_kind(concept, asked, given):
        return wrong, display
    if display and display.lower() == asked.display.lower():
        return "", display
    return wrong_display(concept, asked, language), display


def _wrong_version(terminology: Terminology, one: Members, asked: Asked) -> str:
    """What is wrong with the version of a code; "" if it is here, and the one that the value set takes."""
    known = one.source.version if one.source else ""
    if not asked.version or asked.version == known:
        return ""
    if terminology.system(asked.system, asked.version) is None:
        return f"Version {asked.version[:64]} of the code system {asked.system[:64]} is not here."
    return f"The value set takes codes of version {known[:64]}." if known else ""


OPERATION = Operation(
    name="validate-code",
    levels=("type", "instance"),
    types=("ValueSet",),
    handler=validate_code,
    methods=("GET", "POST"),
    definition=_DEFINITION,
)
