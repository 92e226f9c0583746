"""ValueSet/$validate-code: whether a code belongs to a value set.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.engine.context import Context
from fhir_server.fhir.errors import RequiredMissing
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.rest.operations._codes import Asked, codings, refuse, value_set, verdict, wrong_display
from fhir_server.terminology.codes import Terminology, contains
from fhir_server.terminology.members import Members

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
    members = terminology.composed(value_set(context, request, given))
    message, display = "", None
    for asked in wanted:
        message, display = _judged(terminology, members, asked)
        if not message:
            break
    return verdict(context, "validate-code", message, display)


def _judged(terminology: Terminology, members: Mapping[str, Members], asked: Asked) -> tuple[str, str | None]:
    """What is wrong with a code, "" if nothing is, and its display."""
    system = terminology.system(asked.system, asked.version) if asked.system else None
    concept: Any = system.find(asked.code) if system else None
    found = contains(members, asked.system, asked.code)
    if found is None:
        return f"Whether {asked.code[:64]} belongs to the value set cannot be told from what is here.", None
    if not found:
        return f"The value set does not contain the code {asked.code[:64]} of {asked.system[:64]}.", None
    named = members[asked.system].codes.get(asked.code) if asked.system in members else None
    display = named or (concept.display if concept else None)
    if named and named.lower() == asked.display.lower():
        return "", display
    return wrong_display(concept, asked), display


OPERATION = Operation(
    name="validate-code",
    levels=("type", "instance"),
    types=("ValueSet",),
    handler=validate_code,
    methods=("GET", "POST"),
    definition=_DEFINITION,
)
