"""Patient/$everything: a patient's whole record as the caller may see it, streamed, or page by page with _count.

https://hl7.org/fhir/R4/patient-operation-everything.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fhir_server.engine import everything as records
from fhir_server.engine import repository, sealing
from fhir_server.engine.context import Context
from fhir_server.fhir import bundles
from fhir_server.fhir.definitions import type_names
from fhir_server.fhir.errors import BadValue, NotSupported
from fhir_server.fhir.values import parse_date
from fhir_server.rest.arguments import Arguments, arguments
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.store.compartment import Place, Wanted
from fhir_server.store.resources import Row

_DEFINITION = "http://hl7.org/fhir/OperationDefinition/Patient-everything"
_PURPOSE = "everything page 1"
_PIECE = 500
_MOST = 1000
_IGNORED = {"_format", "_pretty"}


@dataclass(frozen=True)
class _Asked:
    """One page of a record: which, of what, how many (0: all of it), behind which row."""

    patient: int
    wanted: Wanted
    others: tuple[int, ...]
    count: int
    after: Place


def everything(context: Context, request: Request) -> Response:
    """A searchset of the compartment (match) and what it refers to (include); 404 or 410 as a read of the Patient."""
    token = _token(request)
    asked = _resumed(context, request, token) if token else _asked(context, request)
    if not asked.count:
        found = records.pages(context, asked.patient, asked.wanted, asked.others, _PIECE)
        return Response(200, _streamed(request, found))
    page = records.page(context, asked.patient, asked.wanted, asked.others, asked.after, asked.count)
    links = [("self", _url(request, request.parameters))]
    if page.after:
        content = [request.id, asked.patient, tuple(asked.wanted), asked.others, asked.count, tuple(page.after)]
        links.append(("next", _url(request, [("_page", sealing.seal(context, _PURPOSE, content))])))
    return Response(200, bundles.bundle("searchset", links, _entries(request, page)))


def _token(request: Request) -> str:
    tokens = [value for name, value in request.parameters if name == "_page"]
    others = {name for name, _ in request.parameters} - _IGNORED - {"_page"}
    if tokens and (others or len(tokens) > 1 or request.body):
        raise NotSupported(
            "_page stands alone: it carries all that was asked. Follow the link exactly as it was given."
        )
    return tokens[0] if tokens else ""


def _asked(context: Context, request: Request) -> _Asked:
    given = arguments(context.engine.definitions, _DEFINITION, request)
    types = _types(context, given)
    row = repository.read(context, "Patient", request.id)
    zone = context.engine.settings.zone
    start, end, since = (parse_date(given.one(name), zone) if name in given else None for name in _SPANS)
    what = records.wanted(
        context, types, since=since[0] if since else 0, start=start[0] if start else None, end=end[1] if end else None
    )
    return _Asked(row.rh, what, records.supporting(context, types), _count(given), Place())


_SPANS = ("start", "end", "_since")


def _types(context: Context, given: Arguments) -> list[str]:
    types = [type_ for one in given.all("_type") for type_ in one.split(",")]
    for type_ in types:
        if type_ not in context.engine.definitions.types:
            raise BadValue(f"{type_[:64]} is not a resource type of FHIR R4.", "_type")
    return types


def _count(given: Arguments) -> int:
    if "_count" in given and given.one("_count") < 1:
        raise BadValue("_count is at least 1; without it the whole record comes at once.", "_count")
    return min(int(given.one("_count", 0)), _MOST)


def _resumed(context: Context, request: Request, token: str) -> _Asked:
    fid, patient, wanted, others, count, after = sealing.opened(context, _PURPOSE, token)
    if fid != request.id:
        raise BadValue("This page belongs to another record. Follow the link exactly as it was given.")
    context.require("r", "Patient")
    types, memberships, dates, *rest = wanted
    what = Wanted(tuple(types), tuple(memberships), tuple(dates), *rest)
    return _Asked(patient, what, tuple(others), count, Place(*after))


def _streamed(request: Request, pages: Iterable[records.Found]) -> Iterator[bytes]:
    """The Bundle in pieces; its length is known when it has been sent."""
    head = bundles.bundle("searchset", [("self", _url(request, request.parameters))], ())
    begun = False
    for page in pages:
        entries = b",".join(_entries(request, page))
        if entries:
            yield (b"," if begun else head[:-1] + b',"entry":[') + entries
            begun = True
    yield b"]}" if begun else head


def _entries(request: Request, page: records.Found) -> Iterator[bytes]:
    for rows, mode in ((page.rows, "match"), (page.referred, "include")):
        yield from _told(request, rows, mode)


def _told(request: Request, rows: Sequence[Row], mode: str) -> Iterator[bytes]:
    for row in rows:
        yield bundles.match(f"{request.base}/{type_names()[row.type]}/{row.fid}", row.body, mode)


def _url(request: Request, parameters: Sequence[tuple[str, Any]]) -> str:
    tail = urlencode(list(parameters))
    return f"{request.base}/{'/'.join(request.path)}" + (f"?{tail}" if tail else "")


OPERATION = Operation(
    name="everything",
    levels=("instance",),
    types=("Patient",),
    handler=everything,
    methods=("GET", "POST"),
    definition=_DEFINITION,
)
