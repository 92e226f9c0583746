"""The last of every answer: the headers that all have, what pages of other origins may read, gzip, HEAD, lengths."""

from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from fhir_server.engine import request_ids
from fhir_server.rest.message import Request, Response
from fhir_server.rest.negotiation import FHIR_JSON, packed

ANY_PAGE = "*"
_NO_BODY = {204, 304}
_ALWAYS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept, Accept-Encoding",
}
_SHOWN_TO_PAGES = (
    "Content-Location, ETag, Idempotency-Replayed, Last-Modified, Location, Retry-After, WWW-Authenticate, "
    "X-Correlation-Id, X-Progress, X-Request-Id"
)


def finished(
    asked: Request | None, environ: dict[str, Any], response: Response, request_id: str, origins: str = ""
) -> Response:
    """The response with all that goes with it whatever it is; `origins`: the pages that may read it."""
    shared = _shared(origins, environ.get("HTTP_ORIGIN", ""))
    response.headers = {**_ALWAYS, **shared, **response.headers, "X-Request-Id": request_id, **_correlation(environ)}
    if response.body:
        response.headers.setdefault("Content-Type", FHIR_JSON)
    if asked and isinstance(response.body, bytes) and (small := packed(asked, response.body)):
        response.body = small
        response.headers["Content-Encoding"] = "gzip"
    if environ["REQUEST_METHOD"] == "HEAD":
        if isinstance(response.body, bytes):
            response.headers["Content-Length"] = str(len(response.body))
        response.body = b""
    return response


def _correlation(environ: Mapping[str, Any]) -> dict[str, str]:
    """The client's own number of what this request belongs to, given back.  http.html#custom"""
    given = str(environ.get("HTTP_X_CORRELATION_ID", ""))
    return {"X-Correlation-Id": given} if request_ids.FORM.fullmatch(given) else {}


@lru_cache(maxsize=256)
def _shared(origins: str, origin: str) -> dict[str, str]:
    """What lets a page of this origin read answers. A page needs a token like any client: no cookie speaks for it."""
    exposed = {"Access-Control-Expose-Headers": _SHOWN_TO_PAGES}
    if origins == ANY_PAGE:
        return {"Access-Control-Allow-Origin": ANY_PAGE, **exposed}
    varying = {"Vary": _ALWAYS["Vary"] + ", Origin"}
    if origin and origin in origins.split():
        return {"Access-Control-Allow-Origin": origin, **exposed, **varying}
    return varying


def complete(response: Response) -> dict[str, str]:
    """The headers with the length of the body, where there is one to tell."""
    headers = response.headers
    if isinstance(response.body, bytes) and response.status not in _NO_BODY:
        headers.setdefault("Content-Length", str(len(response.body)))
    return headers


@lru_cache(maxsize=64)
def status_line(status: int) -> str:
    """Number and phrase, as WSGI wants them."""
    return f"{status} {HTTPStatus(status).phrase}"
