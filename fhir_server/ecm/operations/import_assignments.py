"""Group/$import-assignments: a plan's assignment file in, a job's status URL out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from fhir_server.ecm.files import receiving
from fhir_server.ecm.files.assignments import declaring
from fhir_server.ecm.files.assignments.intake import KIND, RIGHT
from fhir_server.ecm.files.format import NumberedRow
from fhir_server.ecm.files.layouts.binding import Bound
from fhir_server.ecm.files.opening import known_layouts
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BadValue, Forbidden
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response

_DEFAULT_LAYOUT = "member-information"
_DEFINITION = f"{BASE}/OperationDefinition/Group-import-assignments"


def import_assignments(context: Context, request: Request) -> Response:
    """202 with the status URL once format and header are right.

    400 where what is declared in two places does not agree; 413, 415, 422 for a file that cannot be read.
    """
    for letter, type_ in (("c", "Group"), ("c", "Patient"), ("u", "Patient"), ("u", "Group")):
        context.require(letter, type_)
    if RIGHT not in context.caller.rights or context.caller.law_class != "covered":
        raise Forbidden(f"Assignment files are a plan's: this client is not registered with the right {RIGHT}.")
    given = arguments(context.engine.definitions, _DEFINITION, request)
    layout = given.one("layout", _DEFAULT_LAYOUT)
    if layout not in known_layouts(context):
        raise BadValue("There is no such layout.", "layout")
    said = declaring.given(context, given)
    facts = {name: value for name, value in said.items() if name != "mode"}

    def look(bound: Bound, rows: Iterator[NumberedRow]) -> Mapping[str, Any]:
        declared, _ = declaring.declare(bound, rows, said)
        return {"declared": asdict(declared)}

    return receiving.take(context, request, KIND, given, {"layout": layout, "facts": facts}, look)


OPERATION = Operation(
    name="import-assignments",
    levels=("type",),
    types=("Group",),
    handler=import_assignments,
    definition=_DEFINITION,
    reads_stream=True,
)
