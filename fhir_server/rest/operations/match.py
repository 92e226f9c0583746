"""Patient/$match: who of the patients that the caller may see is the one described.

https://hl7.org/fhir/R4/patient-operation-match.html
"""

from __future__ import annotations

import orjson

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir import bundles
from fhir_server.fhir.errors import BadValue, RequiredMissing
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.rest.operations import _person
from fhir_server.rest.operations._person import CERTAIN, SCORES, Candidate
from fhir_server.validation import structure

_DEFINITION = "http://hl7.org/fhir/OperationDefinition/Patient-match"
_GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"
_MOST = 100


def match(context: Context, request: Request) -> Response:
    """A searchset, the surest first, each with its grade and score; 400 if the description says too little."""
    given = arguments(context.engine.definitions, _DEFINITION, request)
    person = given.one("resource")
    structure.check("Patient", person)
    if given.one("count", 1) < 1:
        raise BadValue("count is at least 1.", "count")
    context.require("s", "Patient")
    context.require("r", "Patient")
    if not _person.criteria(person):
        raise RequiredMissing("Give an identifier with its system, or a family name and a date of birth.", "resource")
    found = _person.candidates(context, person)
    if given.flag("onlyCertainMatches"):
        certain = [one for one in found if one.grade == CERTAIN]
        found = certain if len(certain) == 1 else []
    shown = found[: min(given.one("count", _MOST), _MOST)]
    if not shown:
        repository.note(context, "match", 200, "nobody")
    return Response(200, bundles.bundle("searchset", [], [_entry(context, request, one) for one in shown], len(shown)))


def _entry(context: Context, request: Request, one: Candidate) -> bytes:
    body = repository.show(context, "match", "Patient", one.hit)
    grade = {"extension": [{"url": _GRADE, "valueCode": one.grade}], "mode": "match", "score": SCORES[one.grade]}
    url = orjson.dumps(f"{request.base}/Patient/{one.hit.fid}")
    return b'{"fullUrl":%b,"resource":%b,"search":%b}' % (url, body, orjson.dumps(grade))


OPERATION = Operation(
    name="match", levels=("type",), types=("Patient",), handler=match, methods=("POST",), definition=_DEFINITION
)
