"""ConceptMap/$translate: what a code is called elsewhere.  https://hl7.org/fhir/R4/conceptmap-operation-translate.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import NotFound
from fhir_server.rest.arguments import Arguments, arguments, parameters, parts, present, value
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.rest.operations._codes import codings, stored
from fhir_server.terminology import concept_maps
from fhir_server.terminology.concept_maps import Also, Asked, Match

_DEFINITION = "http://hl7.org/fhir/OperationDefinition/ConceptMap-translate"


def translate(context: Context, request: Request) -> Response:
    """Parameters with `result` and every match; 404 if the map is not here. Without one all installed are asked."""
    context.require("r", "ConceptMap")
    given = arguments(context.engine.definitions, _DEFINITION, request)
    maps = [one for one in _maps(context, request, given) if _is_meant(one, given)]
    reverse, known = given.flag("reverse"), frozenset(_known(given))
    matches = [
        match
        for one in maps
        for asked in codings(given)
        for match in concept_maps.translations(
            one,
            Asked(asked.system, asked.code, asked.version, known),
            reverse=reverse,
            others=context.engine.terminology.concept_map,
        )
        if given.one("targetsystem", match.system) == match.system
    ]
    repository.note(context, "translate", 200)
    return Response(200, orjson.dumps(_answer(list(dict.fromkeys(matches)))))


def _known(given: Arguments) -> Iterator[tuple[str, str, str]]:
    """What the caller knows besides: (element, system, code); what is no code is a text without a system."""
    for one in given.all("dependency"):
        concept = one.one("concept", {})
        for coding in concept.get("coding", ()):
            yield one.one("element", ""), coding.get("system", ""), coding.get("code", "")
        if "text" in concept:
            yield one.one("element", ""), "", concept["text"]


def _maps(context: Context, request: Request, given: Arguments) -> Sequence[Mapping[str, Any]]:
    own = stored(context, request) or given.one("conceptMap")
    if own is not None:
        return [own]
    url, version = given.one("url", ""), given.one("conceptMapVersion", "")
    found = context.engine.terminology.concept_maps(f"{url}|{version}" if url and version else url)
    if not found:
        raise NotFound(f"The concept map {url[:64]} is not here.")
    return found


def _is_meant(concept_map: Mapping[str, Any], given: Arguments) -> bool:
    """Whether a map leads from the source to the target that were named, as value sets."""
    for name in ("source", "target"):
        stated = concept_map.get(f"{name}Canonical") or concept_map.get(f"{name}Uri")
        if name in given and stated and stated.partition("|")[0] != given.one(name).partition("|")[0]:
            return False
    return True


def _answer(matches: Sequence[Match]) -> dict[str, Any]:
    result = any(one.related for one in matches)
    rows: list[dict[str, Any]] = [value("result", "boolean", result)]
    if not result:
        rows.append(value("message", "string", "There is no translation of this code."))
    return parameters([*rows, *map(_told, matches)])


def _told(match: Match) -> dict[str, Any]:
    named = {"system": match.system, "code": match.code, "display": match.display}
    coding = {name: text for name, text in named.items() if text} if match.code else None
    rows = [
        ("equivalence", "code", match.equivalence),
        ("concept", "Coding", coding),
        ("source", "uri", match.source or None),
    ]
    return parts("match", [*present(rows), *map(_product, match.products)])


def _product(one: Also) -> dict[str, Any]:
    named = {"system": one.system, "code": one.code, "display": one.display}
    coding = {name: text for name, text in named.items() if text}
    return parts("product", [value("element", "uri", one.element), value("concept", "Coding", coding)])


OPERATION = Operation(
    name="translate",
    levels=("type", "instance"),
    types=("ConceptMap",),
    handler=translate,
    methods=("GET", "POST"),
    definition=_DEFINITION,
)
