"""Group/$import-assignments: a plan's assignment file in, a job's status URL out."""

from __future__ import annotations

from collections.abc import Mapping

from fhir_server.ecm.files import receiving
from fhir_server.ecm.files.importing import KIND, known_layouts
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BadValue, Forbidden
from fhir_server.rest.message import Operation, Request, Response

RIGHT = "assign"
_MODES = ("full", "delta")
_DEFAULT_LAYOUT = "member-information"
_FACTS = {"plan-code": "plan_code", "production-date": "production_date", "period": "period"}
_KNOWN = frozenset({"mode", "format", "layout", "file-name", *_FACTS})


def import_assignments(context: Context, request: Request) -> Response:
    """202 with the status URL once format and header are right; 413, 415, 422 for a file that cannot be read."""
    for letter, type_ in (("c", "Group"), ("c", "Patient"), ("u", "Patient"), ("u", "Group")):
        context.require(letter, type_)
    if RIGHT not in context.caller.rights or context.caller.law_class != "covered":
        raise Forbidden(f"Assignment files are a plan's: this client is not registered with the right {RIGHT}.")
    given = receiving.parameters(request, _KNOWN)
    mode, layout = given.get("mode", "delta"), given.get("layout", _DEFAULT_LAYOUT)
    if mode not in _MODES:
        raise BadValue("mode is full (absent members are dropped) or delta (they stay).", "mode")
    if layout not in known_layouts(context):
        raise BadValue("There is no such layout.", "layout")
    return receiving.take(context, request, KIND, given, {"mode": mode, "layout": layout, "facts": _facts(given)})


def _facts(given: Mapping[str, str]) -> dict[str, str]:
    return {fact: given[name] for name, fact in _FACTS.items() if name in given}


OPERATION = Operation(
    name="import-assignments",
    levels=("type",),
    types=("Group",),
    handler=import_assignments,
    definition=f"{BASE}/OperationDefinition/Group-import-assignments",
    reads_stream=True,
)
