"""FHIR history of one resource.  https://hl7.org/fhir/R4/http.html#history"""

from collections.abc import Sequence
from urllib.parse import urlencode

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir import bundles
from fhir_server.fhir.errors import BadValue, NotSupported
from fhir_server.fhir.values import instant, parse_date
from fhir_server.rest.message import Interaction, Request, Response, etag
from fhir_server.store.resources import Row

_PAGE = 50
_MOST = 200
_NEWEST = 2**31 - 1


def history_instance(context: Context, request: Request) -> Response:
    """Versions, newest first, as a history Bundle with request and response in each entry (B-62)."""
    count, since, below = _parameters(context, request)
    rows = repository.history(context, request.type, request.id, below=below, limit=count + 1, since=since)
    entries = [_entry(request, row) for row in rows[:count]]
    links = [("self", _url(request, request.parameters))]
    if len(rows) > count:
        kept = [pair for pair in request.parameters if pair[0] != "_before"]
        links.append(("next", _url(request, [*kept, ("_before", str(rows[count - 1].ver))])))
    return Response(200, bundles.bundle("history", links, entries))


def _parameters(context: Context, request: Request) -> tuple[int, int, int]:
    count, since, below = _PAGE, 0, _NEWEST
    for name, value in request.parameters:
        if name == "_count":
            count = min(_number(name, value), _MOST) or 1
        elif name == "_since":
            since = parse_date(value, context.engine.settings.zone)[0]
        elif name == "_before":
            below = _number(name, value)
        elif name not in {"_format", "_pretty"}:
            raise NotSupported(f"History has no parameter {name[:64]}: use _count and _since.")
    return count, since, below


def _number(name: str, value: str) -> int:
    if not value.isdecimal() or len(value) > 9:  # noqa: PLR2004 - fits 32 bits
        raise BadValue(f"{name} must be a whole number of at most nine digits.")
    return int(value)


def _url(request: Request, parameters: Sequence[tuple[str, str]]) -> str:
    tail = urlencode(list(parameters))
    return f"{request.base}/{'/'.join(request.path)}" + (f"?{tail}" if tail else "")


def _entry(request: Request, row: Row) -> bytes:
    target = f"{request.type}/{row.fid}"
    if row.deleted:
        asked, status = {"method": "DELETE", "url": target}, "204"
    elif row.ver == 1:
        asked, status = {"method": "POST", "url": request.type}, "201"
    else:
        asked, status = {"method": "PUT", "url": target}, "200"
    response = {"status": status, "etag": etag(row), "lastModified": instant(row.ts)}
    return bundles.version(f"{request.base}/{target}", row.body, asked, response)


INTERACTION = Interaction("history-instance", "GET", "{type}/{id}/_history", history_instance)
