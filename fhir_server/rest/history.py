"""The history Bundle of a resource, a type or the whole server.  https://hl7.org/fhir/R4/http.html#history"""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from fhir_server.engine import repository, sealing
from fhir_server.engine.context import Context
from fhir_server.fhir import bundles
from fhir_server.fhir.definitions import type_names
from fhir_server.fhir.errors import BadValue, NotSupported
from fhir_server.fhir.values import instant, parse_date
from fhir_server.rest.message import Request, Response, etag
from fhir_server.rest.subset import subset
from fhir_server.search.types.date import with_plus
from fhir_server.store.history import Place, Span
from fhir_server.store.resources import Row

_PURPOSE = "history page 1"
_COUNT = 50
_MOST = 200
_ONCE = {"_count", "_since", "_at", "_page"}
_PARTS = {"_elements", "_summary"}  # of each resource; they go along from page to page
_FORM = {"_format", "_pretty", *_PARTS}


class _Asked(NamedTuple):
    """One page of a history: how long, of which span, behind which version; `as_of` is the first page's timestamp."""

    size: int
    span: Span
    after: Place = Place()
    as_of: int | None = None


def answer(context: Context, request: Request) -> Response:
    """Versions, newest first, with request and response in each entry (B-62).

    Bundle.timestamp is the instant up to which the walk is complete: asked for as `_since` later, it misses nothing.
    """
    asked = _asked(context, request)
    rows = repository.history(context, request.type, request.id, asked.span, asked.after, asked.size + 1)
    as_of = asked.as_of
    if as_of is None:
        newest = rows[0].ts if rows else min(max(asked.span.since, 0), context.now)
        as_of = newest if request.id else repository.settled(context, newest)
    shown = rows[: asked.size]
    links = [("self", _url(request, request.parameters))]
    if len(rows) > len(shown):
        onward = [("_page", _token(context, request, asked, shown[-1], as_of))]
        links.append(("next", _url(request, [*onward, *[pair for pair in request.parameters if pair[0] in _PARTS]])))
    entries = [_entry(context, request, row) for row in shown]
    return Response(200, bundles.bundle("history", links, entries, timestamp=instant(as_of) if as_of else ""))


def _asked(context: Context, request: Request) -> _Asked:
    given = dict(request.parameters)
    unknown = next((name for name, _ in request.parameters if name not in _ONCE | _FORM), None)
    if unknown is not None:
        raise NotSupported(f"History has no parameter {unknown[:64]}: use _count, _since and _at.")
    if len(given) < len(request.parameters):
        raise BadValue("A parameter of a history is given once.")
    if "_page" in given:
        return _resumed(context, request, given)
    zone = context.engine.settings.zone
    since = parse_date(with_plus(given["_since"]), zone)[0] if "_since" in given else 0
    at = parse_date(with_plus(given["_at"]), zone) if "_at" in given else None
    return _Asked(_count(given.get("_count", str(_COUNT))), Span(since, at))


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:  # noqa: PLR2004 - fits 32 bits
        raise BadValue("_count must be a whole number of at most nine digits.")
    return min(int(text), _MOST) or 1


def _token(context: Context, request: Request, asked: _Asked, last: Row, as_of: int) -> str:
    place = (last.ts, last.rid, last.ver)
    return sealing.seal(context, _PURPOSE, ["/".join(request.path), asked.size, tuple(asked.span), place, as_of])


def _resumed(context: Context, request: Request, given: dict[str, str]) -> _Asked:
    if set(given) - _FORM != {"_page"}:
        raise NotSupported("_page stands alone: it carries the whole history. Follow the link exactly as it was given.")
    path, count, (since, at), place, as_of = sealing.opened(context, _PURPOSE, given["_page"])
    if path != "/".join(request.path):
        raise BadValue("This page belongs to another history. Follow the link exactly as it was given.")
    return _Asked(count, Span(since, tuple(at) if at else None), Place(*place), as_of)


def _url(request: Request, parameters: Sequence[tuple[str, str]]) -> str:
    tail = urlencode(list(parameters))
    return f"{request.base}/{'/'.join(request.path)}" + (f"?{tail}" if tail else "")


def _entry(context: Context, request: Request, row: Row) -> bytes:
    kind = type_names()[row.type]
    target = f"{kind}/{row.fid}"
    if row.deleted:
        asked, status = {"method": "DELETE", "url": target}, "204"
    elif row.ver == 1:
        asked, status = {"method": "POST", "url": kind}, "201"
    else:
        asked, status = {"method": "PUT", "url": target}, "200"
    response = {"status": status, "etag": etag(row), "lastModified": instant(row.ts)}
    body = subset(context, request, row.body) if row.body else b""
    return bundles.version(f"{request.base}/{target}", body, asked, response)
