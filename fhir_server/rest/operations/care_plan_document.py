"""CarePlan/$document: a care plan as a document, under a Composition that is made for it.

https://hl7.org/fhir/R4/documents.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.engine.references import local
from fhir_server.fhir.values import instant
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.rest.operations._document import answered, seen, targets

Json = Mapping[str, Any]

_DEFINITION = "urn:x-fhir-server:OperationDefinition/CarePlan-document"
_SECTIONS = Path(__file__).with_name("care_plan_sections.json")
_LOINC = "http://loinc.org"
_PLAN_OF_CARE = {"coding": [{"system": _LOINC, "code": "18776-5", "display": "Plan of care note"}]}


def document(context: Context, request: Request) -> Response:
    """A Bundle of type document: Composition, plan, and what it refers to; 404 or 410 as a read of the plan."""
    arguments(context.engine.definitions, _DEFINITION, request)
    row = repository.read(context, "CarePlan", request.id)
    plan = orjson.loads(row.body)
    own = f"CarePlan/{row.fid}"
    rows = {own: row, **seen(context, [context.caller.org, *targets(plan)])}
    composition = _composition(context, plan, own, rows)
    return answered(context, request, (f"Composition/{composition['id']}", orjson.dumps(composition)), rows)


def _composition(context: Context, plan: Json, own: str, shown: Mapping[str, Any]) -> dict[str, Any]:
    made = {
        "resourceType": "Composition",
        "id": context.engine.ids.fid(),
        "status": "preliminary" if plan["status"] == "draft" else "final",
        "type": _PLAN_OF_CARE,
        "subject": plan["subject"],
        "encounter": plan.get("encounter"),
        "date": instant(context.now),
        "author": [plan["author"]] if "author" in plan else [{"reference": context.caller.org}],
        "title": plan.get("title", "Care plan"),
        "section": [{"title": "Care plan", "entry": [{"reference": own}]}, *_filled(plan, shown)],
    }
    return {name: content for name, content in made.items() if content is not None}


def _filled(plan: Json, shown: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The sections that have something in them which the caller may see."""
    for section in _sections():
        entries = [one for one in _at(plan, section["path"]) if local(one.get("reference", "")) in shown]
        if entries:
            code = {"code": {"coding": [{"system": _LOINC, "code": section["code"]}]}} if section["code"] else {}
            yield {"title": section["title"], **code, "entry": entries}


@cache
def _sections() -> Sequence[Json]:
    found: Sequence[Json] = orjson.loads(_SECTIONS.read_bytes())
    return found


def _at(node: Any, path: Sequence[str]) -> Iterator[Json]:
    """The References at a path of names, through lists."""
    if isinstance(node, list):
        for one in node:
            yield from _at(one, path)
    elif path and isinstance(node, Mapping):
        yield from _at(node.get(path[0]), path[1:])
    elif isinstance(node, Mapping):
        yield node


OPERATION = Operation(
    name="document",
    levels=("instance",),
    types=("CarePlan",),
    handler=document,
    methods=("GET", "POST"),
    definition=_DEFINITION,
)
