"""ValueSet/$expand: the codes of a value set.  https://hl7.org/fhir/R4/valueset-operation-expand.html"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BadValue, TooCostly, Unprocessable
from fhir_server.fhir.values import instant
from fhir_server.rest.arguments import Arguments, arguments
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.rest.operations._codes import in_language, refuse, speaks, value_set
from fhir_server.terminology import expansion
from fhir_server.terminology.codes import Terminology
from fhir_server.terminology.expansion import Listed, Wish
from fhir_server.terminology.members import Members
from fhir_server.terminology.value_sets import Versions
from fhir_server.terminology.words import words

_DEFINITION = "http://hl7.org/fhir/OperationDefinition/ValueSet-expand"
_STAYS_OPEN = [{"url": "http://hl7.org/fhir/StructureDefinition/valueset-unclosed", "valueBoolean": True}]
_LANGUAGES = "urn:ietf:bcp:47"
_MOST = 1000  # codes without count
_MOST_COUNTED = 10_000
_NOT_OFFERED = ("context", "contextDirection", "date")
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
    members = _members(terminology, resource, given)
    wish = Wish(tuple(words(given.one("filter"))), given.flag("activeOnly"), given.flag("excludeNotForUI"))
    rows = expansion.page(terminology, members, wish, offset, _MOST + 1 if count is None else count)
    if count is None and len(rows) > _MOST:
        raise TooCostly(f"It has more than {_MOST} codes. Give count and offset, or a filter.")
    body: dict[str, Any] = {
        "extension": _STAYS_OPEN if expansion.unclosed(terminology, members) else None,
        "identifier": f"urn:uuid:{context.engine.ids.fid()}",
        "timestamp": instant(context.now),
        "total": expansion.total(terminology, members, wish),
        "offset": offset if count is not None else None,
        "parameter": [*_echo(given, count), *_used(terminology, members)] or None,
        "contains": _contains(rows, given, nested=count is None and not wish.words) or None,
    }
    repository.note(context, "expand", 200)
    found = {**_described(resource, given), "expansion": {name: one for name, one in body.items() if one is not None}}
    return Response(200, orjson.dumps(found))


def _members(terminology: Terminology, resource: Json, given: Arguments) -> dict[str, Members]:
    left_out = {one.partition("|")[0] for one in given.all("exclude-system")}
    composed = terminology.composed(resource, _versions(given), exact=True)
    found = {system: one for system, one in composed.items() if system not in left_out}
    if missing := expansion.missing(terminology, found):
        names = ", ".join(one[:64] or "a value set that it imports" for one in missing[:3])
        raise Unprocessable(f"It cannot be expanded: {names} is not here. Load it, or store it on the server.")
    return found


def _versions(given: Arguments) -> Versions:
    return Versions(*(_pairs(given, name) for name in ("system-version", "force-system-version",
                                                       "check-system-version")))  # fmt: skip


def _pairs(given: Arguments, name: str) -> dict[str, str]:
    found = {}
    for one in given.all(name):
        url, _, version = one.partition("|")
        if not version:
            raise BadValue(f"{name} is of the form system|version.", name)
        found[url] = version
    return found


def _span(given: Arguments) -> tuple[int, int | None]:
    for name in ("offset", "count"):
        if given.one(name, 0) < 0:
            raise BadValue(f"{name} must not be negative.", name)
    if "offset" in given and "count" not in given:
        raise BadValue("offset goes with count.", "offset")
    return given.one("offset", 0), min(given.one("count"), _MOST_COUNTED) if "count" in given else None


def _echo(given: Arguments, count: int | None) -> list[dict[str, Any]]:
    """What was asked; `count` as it was kept to, so that whoever pages by it misses nothing."""
    kinds = {"filter": "String", "offset": "Integer", "activeOnly": "Boolean", "includeDesignations": "Boolean",
             "includeDefinition": "Boolean", "designation": "String", "displayLanguage": "Code",
             "excludeNested": "Boolean", "excludeNotForUI": "Boolean", "excludePostCoordinated": "Boolean",
             "exclude-system": "Uri", "system-version": "Uri", "check-system-version": "Uri",
             "force-system-version": "Uri"}  # fmt: skip
    found = [{"name": name, f"value{kind}": one} for name, kind in kinds.items() for one in given.all(name)]
    return found if count is None else [*found, {"name": "count", "valueInteger": count}]


def _used(terminology: Terminology, members: Mapping[str, Members]) -> list[dict[str, str]]:
    """Where the codes come from: `version` is R4's word, `used-codesystem` the one of later releases."""
    found = expansion.used(terminology, members)
    versions = [{"name": "version", "valueUri": one} for one in found if "|" in one]
    return [*({"name": "used-codesystem", "valueUri": one} for one in found), *versions]


def _described(resource: Json, given: Arguments) -> dict[str, Any]:
    if given.flag("includeDefinition"):
        return {name: one for name, one in resource.items() if name not in {"text", "expansion"}}
    kept = {name: resource[name] for name in _DESCRIBING if name in resource}
    return {"resourceType": "ValueSet", "status": "active", **kept}


def _contains(rows: Iterable[Listed], given: Arguments, *, nested: bool) -> list[dict[str, Any]]:
    rows = list(rows)
    if not nested or given.flag("excludeNested"):
        return [_told(row, given) for row in rows]
    top, under = expansion.tree(rows)

    def tree(row: Listed) -> dict[str, Any]:
        below = [tree(one) for one in under.get((row.system, row.code), ())]
        return _told(row, given) | ({"contains": below} if below else {})

    return [tree(row) for row in top]


def _told(row: Listed, given: Arguments) -> dict[str, Any]:
    told: dict[str, Any] = {"system": row.system} if row.system else {}
    told |= {"abstract": True} if row.concept.abstract else {}
    told |= {} if row.concept.active else {"inactive": True}
    display = in_language(row.designations, given.one("displayLanguage", "")) or row.display
    told |= {"code": row.code} | ({"display": display} if display else {})
    if designations := _designations(row, given):
        told["designation"] = designations
    return told


def _designations(row: Listed, given: Arguments) -> list[Json]:
    """None, all, or those whose language or use is named by `designation`."""
    wanted = given.all("designation")
    if not given.flag("includeDesignations") and not wanted:
        return []
    return [one for one in row.designations if not wanted or any(_is_wanted(one, token) for token in wanted)]


def _is_wanted(designation: Json, token: str) -> bool:
    system, mark, code = token.rpartition("|")
    use = designation.get("use", {})
    of_use = use.get("code") == code and (not mark or use.get("system", "") == system)
    return of_use or (system in ("", _LANGUAGES) and speaks(designation, code))


OPERATION = Operation(
    name="expand",
    levels=("type", "instance"),
    types=("ValueSet",),
    handler=expand,
    methods=("GET", "POST"),
    definition=_DEFINITION,
)
