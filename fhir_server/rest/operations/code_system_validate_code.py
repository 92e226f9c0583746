"""CodeSystem/$validate-code: whether a code is one of a system's.

https://hl7.org/fhir/R4/codesystem-operation-validate-code.html
"""

from __future__ import annotations

from fhir_server.engine.context import Context
from fhir_server.rest.arguments import Arguments, arguments
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.rest.operations._codes import (
    Asked,
    codings,
    in_language,
    own_system,
    refuse,
    stored,
    system_of,
    verdict,
    wrong_display,
    wrong_kind,
)
from fhir_server.terminology.filters import System

_DEFINITION = "http://hl7.org/fhir/OperationDefinition/CodeSystem-validate-code"


def validate_code(context: Context, request: Request) -> Response:
    """Parameters with `result`; of a CodeableConcept one right coding is enough; 404 if the system is not here."""
    context.require("r", "CodeSystem")
    given = arguments(context.engine.definitions, _DEFINITION, request)
    refuse(given, ["date"])
    url, system = _system(context, request, given)
    message, display = "", None
    for asked in codings(given, system="url"):
        message, display = _judged(given, system, asked._replace(system=asked.system or url), url)
        if not message:
            break
    return verdict(context, "validate-code", message, display)


def _system(context: Context, request: Request, given: Arguments) -> tuple[str, System]:
    resource = stored(context, request) or given.one("codeSystem")
    if resource is not None:
        return str(resource.get("url", "")), own_system(resource)
    url = given.one("url") or next((one.system for one in codings(given, system="url") if one.system), "")
    return url, system_of(context, url, given.one("version", ""))


def _judged(given: Arguments, system: System, asked: Asked, url: str) -> tuple[str, str | None]:
    """What is wrong with a code, "" if nothing is, and its display."""
    concept = system.find(asked.code) if asked.system == url else None
    if concept is None:
        sure = "does not contain" if system.complete else "is here in part only, without"
        return f"The code system {url[:64]} {sure} the code {asked.code[:64]}.", None
    language = given.one("displayLanguage", "")
    display = in_language(concept.designations, language) or concept.display
    return wrong_kind(concept, asked, given) or wrong_display(concept, asked, language), display


OPERATION = Operation(
    name="validate-code",
    levels=("type", "instance"),
    types=("CodeSystem",),
    handler=validate_code,
    methods=("GET", "POST"),
    definition=_DEFINITION,
)
