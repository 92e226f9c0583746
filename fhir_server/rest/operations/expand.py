"""ValueSet/$expand: the codes of a value set.  https://hl7.org/fhir/R4/valueset-operation-expand.html"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BadValue, TooCostly, Unprocessable
from fhir_server.fhir.values import instant
from fhir_server.rest.arguments import Arguments, arguments
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.rest.operations._codes import refuse, value_set
from fhir_server.rest.operations.lookup import in_language
from fhir_server.terminology import expansion
from fhir_server.terminology.codes import Terminology
from fhir_server.terminology.expansion import Listed, Wish
from fhir_server.terminology.members import Members
from fhir_server.terminology.words import words

_DEFINITION = "http://hl7.org/fhir/OperationDefinition/ValueSet-expand"
_STAYS_OPEN = [{"url": "http://hl7.org/fhir/StructureDefinition/valueset-unclosed", "valueBoolean": True}]
_MOST = 1000
_NOT_OFFERED = (
    "context", "contextDirection", "date", "designation", "system-version", "check-system-version",
    "force-system-version",
)  # fmt: skip
_DESCRIBING = ("id", "meta", "url", "version", "name", "title", "status", "experimental", "date", "publisher")

Json = Mapping[str, Any]


def expand(context: Context, request: Request) -> Response:
    """The ValueSet with its expansion; 404 if it is not here, 422 if a system of it is not, 400 if it is too long."""
    context.require("r", "ValueSet")
    given = arguments(context.engine.definitions, _DEFINITION, request)
    refuse(given, _NOT_OFFERED)
    offset, count = _span(given)
    resource = value_set(context, request, given)
    terminology = context.engine.terminology
    members = _members(terminology, resource, given.all("exclude-system"))
    wish = Wish(tuple(words(given.one("filter"))), given.flag("activeOnly"))
    rows = expansion.page(terminology, members, wish, offset, _MOST + 1 if count is None else count)
    if count is None and len(rows) > _MOST:
        raise TooCostly(f"It has more than {_MOST} codes. Give count and offset, or a filter.")
    body: dict[str, Any] = {
        "extension": _STAYS_OPEN if expansion.unclosed(terminology, members) else None,
        "identifier": f"urn:uuid:{context.engine.ids.fid()}",
        "timestamp": instant(context.now),
        "total": expansion.total(terminology, members, wish),
        "offset": offset if count is not None else None,
        "parameter": _echo(given) or None,
        "contains": _contains(rows, given, nested=count is None and not wish.words) or None,
    }
    repository.note(context, "expand", 200)
    found = {**_described(resource, given), "expansion": {name: one for name, one in body.items() if one is not None}}
    return Response(200, orjson.dumps(found))


def _members(terminology: Terminology, resource: Json, left_out: Sequence[str]) -> dict[str, Members]:
    found = {system: one for system, one in terminology.composed(resource).items() if system not in left_out}
    if missing := expansion.missing(terminology, found):
        names = ", ".join(one[:64] or "a value set that it imports" for one in missing[:3])
        raise Unprocessable(f"It cannot be expanded: {names} is not here. Load it, or store it on the server.")
    return found


def _span(given: Arguments) -> tuple[int, int | None]:
    for name in ("offset", "count"):
        if given.one(name, 0) < 0:
            raise BadValue(f"{name} must not be negative.", name)
    if "offset" in given and "count" not in given:
        raise BadValue("offset goes with count.", "offset")
    return given.one("offset", 0), min(given.one("count"), _MOST) if "count" in given else None


def _echo(given: Arguments) -> list[dict[str, Any]]:
    kinds = {"filter": "String", "count": "Integer", "offset": "Integer", "activeOnly": "Boolean",
             "includeDesignations": "Boolean", "displayLanguage": "Code", "excludeNested": "Boolean"}  # fmt: skip
    return [{"name": name, f"value{kind}": given.one(name)} for name, kind in kinds.items() if name in given]


def _described(resource: Json, given: Arguments) -> dict[str, Any]:
    if given.flag("includeDefinition"):
        return {name: one for name, one in resource.items() if name not in {"text", "expansion"}}
    kept = {name: resource[name] for name in _DESCRIBING if name in resource}
    return {"resourceType": "ValueSet", "status": "active", **kept}


def _contains(rows: Iterable[Listed], given: Arguments, *, nested: bool) -> list[dict[str, Any]]:
    rows = list(rows)
    if not nested or given.flag("excludeNested"):
        return [_told(row, given) for row in rows]
    top, under = expansion.roots(rows)

    def tree(row: Listed) -> dict[str, Any]:
        below = [tree(one) for one in under.get((row.system, row.code), ())]
        return _told(row, given) | ({"contains": below} if below else {})

    return [tree(row) for row in top]


def _told(row: Listed, given: Arguments) -> dict[str, Any]:
    told: dict[str, Any] = {"system": row.system} if row.system else {}
    if not row.concept.active:
        told["inactive"] = True
    display = in_language(row.concept, given.one("displayLanguage", "")) or row.display
    told |= {"code": row.code} | ({"display": display} if display else {})
    if given.flag("includeDesignations") and row.concept.designations:
        told["designation"] = list(row.concept.designations)
    return told


OPERATION = Operation(
    name="expand",
    levels=("type", "instance"),
    types=("ValueSet",),
    handler=expand,
    methods=("GET", "POST"),
    definition=_DEFINITION,
)
