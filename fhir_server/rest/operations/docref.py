"""DocumentReference/$docref: a patient's documents.  http://hl7.org/fhir/us/core/OperationDefinition/docref

It is a search in other words, so its answer and its pages are those of a search. Documents are never made on demand.
"""

from collections.abc import Iterator
from dataclasses import replace

from fhir_server.engine.context import Context
from fhir_server.fhir import bundles
from fhir_server.rest import searching
from fhir_server.rest.arguments import Arguments, arguments
from fhir_server.rest.message import Operation, Request, Response

_DEFINITION = "http://hl7.org/fhir/us/core/OperationDefinition/docref"
_TYPE = "DocumentReference"
_SEPARATORS = str.maketrans({sign: f"\\{sign}" for sign in "\\,|$"})


def docref(context: Context, request: Request) -> Response:
    """A searchset; without dates the most recent document alone; empty for a patient who is absent or hidden."""
    given = arguments(context.engine.definitions, _DEFINITION, request)
    context.require("s", _TYPE)
    if given.flag("on-demand"):
        return Response(200, bundles.bundle("searchset", [], (), 0))
    asked = replace(request, path=(_TYPE,), parameters=list(_criteria(given)), body=b"")
    dated = "start" in given or "end" in given
    return searching.by_get(context, asked) if dated else searching.first(context, asked)


def _criteria(given: Arguments) -> Iterator[tuple[str, str]]:
    yield "patient", given.one("patient")
    yield "status", "current"
    if types := ",".join(_token(coding) for coding in given.all("type")):
        yield "type", types
    if profiles := ",".join(one.translate(_SEPARATORS) for one in given.all("profile")):
        yield "_profile", profiles
    for name, prefix in (("start", "ge"), ("end", "le")):
        if name in given:
            yield "period", prefix + given.one(name)
    yield "_sort", "-date"
    if "start" not in given and "end" not in given:
        yield "_count", "1"


def _token(coding: dict[str, str]) -> str:
    system, code = (coding.get(name, "").translate(_SEPARATORS) for name in ("system", "code"))
    return f"{system}|{code}" if system else code


OPERATION = Operation(
    name="docref", levels=("type",), types=(_TYPE,), handler=docref, methods=("GET", "POST"), definition=_DEFINITION
)
