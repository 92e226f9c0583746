"""The edge: a WSGI request becomes a Request, a Response becomes WSGI's or Flask's. No rule lives here.

What is below the FHIR base does not pass through Flask: its request context, routing and response objects cost more
than reading a resource does, access and audit included.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import nullcontext, suppress
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from flask import Flask
from flask import Response as FlaskResponse

from fhir_server.engine import request_ids
from fhir_server.engine.events import Event
from fhir_server.fhir.errors import (
    BadValue,
    FHIRError,
    MethodNotAllowed,
    NoStore,
    Structure,
    TooLarge,
    TooLongURI,
    Unavailable,
)
from fhir_server.fhir.outcome import outcome_bytes
from fhir_server.rest import decoding
from fhir_server.rest.answer import Service
from fhir_server.rest.failures import known
from fhir_server.rest.gate import Gate, says_consent
from fhir_server.rest.health import LIVE, READY, Health
from fhir_server.rest.message import Request, Response
from fhir_server.rest.negotiation import FHIR_JSON, packed, presented, unpacked, with_form_format
from fhir_server.rest.routes import METHODS
from fhir_server.rest.turns import Turns, reads

_LONGEST_URL = 16 * 1024
_MOST_DISCARDED = 64 * 1024**2
_NO_BODY = {204, 304}
_WELL_KNOWN = "/.well-known/"
_NUMBER = "fhir.request_id"
_ALWAYS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept, Accept-Encoding",
}
_ANY_PAGE = "*"
_SHOWN_TO_PAGES = (
    "Content-Location, ETag, Idempotency-Replayed, Last-Modified, Location, Retry-After, WWW-Authenticate, "
    "X-Correlation-Id, X-Progress, X-Request-Id"
)


class Application(Flask):
    """Flask for everything but the FHIR API, which is answered directly."""

    service: Service
    gate: Gate
    turns: Turns
    health: Health

    def wsgi_app(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer, if there is room, what is below the FHIR base; discovery documents and all else are Flask's."""
        path, engine = environ["PATH_INFO"], self.service.engine
        if engine.settings.proxies:
            environ["REMOTE_ADDR"] = sender(environ, engine.settings.proxies.split())
        try:
            below = path.removeprefix(_path_of(engine.settings.base_url))
            held = self.gate.enter(reserved=_is_reserved(path, below, environ["REQUEST_METHOD"]))
        except Unavailable as error:
            return _send(turned_away(self.service, error, environ), start_response)
        engine.database.begin_request()
        turn = self.turns.one() if reads(environ["REQUEST_METHOD"], path) else nullcontext()
        try:
            with turn:
                return self._answered(path, environ, start_response)
        finally:
            engine.database.end_request()
            self.gate.leave(held=held)

    def _answered(self, path: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if path in _HEALTH:
            response = self.health.answer(path)
            return _send(_finished(None, environ, response, _request_id(environ), _ANY_PAGE), start_response)
        base = _path_of(self.service.engine.settings.base_url)
        if (path == base or path.startswith(base + "/")) and not path.startswith(base + _WELL_KNOWN):
            return _send(answer(self.service, environ), start_response)
        found: Iterable[bytes] = super().wsgi_app(environ, start_response)
        return found


def sender(environ: Mapping[str, Any], proxies: Collection[str]) -> str:
    """The address that a request came from; behind listed proxies the last one they name that is none of them."""
    address = str(environ.get("REMOTE_ADDR", ""))
    for named in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        if address not in proxies or not named.strip():
            break
        address = named.strip()[:_LONGEST_ADDRESS]
    return address


_LONGEST_ADDRESS = 45  # of IPv6 with an IPv4 address at its end
_HEALTH = {LIVE, READY}
_RESERVED = ("/auth/revoke", "/auth/introspect")


def _is_reserved(path: str, below: str, method: str) -> bool:
    """Whether a request gets through however many there are: what ends a token, what a consent says, and health."""
    return path in _HEALTH or path in _RESERVED or says_consent([step for step in below.split("/") if step], method)


@lru_cache(maxsize=8)
def _path_of(base_url: str) -> str:
    return "/" + "/".join(step for step in base_url.split("/")[3:] if step)


def _send(response: Response, start_response: Any) -> Iterable[bytes]:
    start_response(_status_line(response.status), list(_complete(response).items()))
    return [response.body] if isinstance(response.body, bytes) else response.body


@lru_cache(maxsize=64)
def _status_line(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"


def answer(service: Service, environ: dict[str, Any]) -> Response:
    """The complete response to a WSGI request below the FHIR base; never raises."""
    request_id = _request_id(environ)
    asked: Request | None = None
    environ["wsgi.input"] = body = _Input(environ)
    try:
        asked = read_request(service, environ)
        response = presented(asked, service.answer(asked, request_id, environ.get("REMOTE_ADDR", "")))
    except Exception as error:  # noqa: BLE001 - nobody above would word it
        failure = known(error, request_id)
        _note(service, environ, request_id, failure.status)
        response = Response(failure.status, outcome_bytes(failure.issues), dict(failure.headers))
    if response.status >= HTTPStatus.BAD_REQUEST:
        body.discard()
    return _finished(asked, environ, response, request_id, service.engine.settings.cors_origins)


def _note(service: Service, environ: dict[str, Any], request_id: str, status: int) -> None:
    """Tell the trail, in bounded space, of what was refused before it was known what it is; no data are at stake."""
    engine = service.engine
    what = str(environ["REQUEST_METHOD"])[:16], status
    told = Event(
        engine.clock() * 1000,
        request_id,
        *what,
        "",
        0,
        "",
        environ.get("REMOTE_ADDR", ""),
        [],
        environ["PATH_INFO"][:256],
    )
    with suppress(NoStore):
        engine.reads.refusals.note(told)


def turned_away(service: Service, error: FHIRError, environ: dict[str, Any]) -> Response:
    """The response to a request for which there was no room."""
    _note(service, environ, _request_id(environ), error.status)
    environ["wsgi.input"] = body = _Input(environ)
    body.discard()
    response = Response(error.status, outcome_bytes(error.issues), dict(error.headers))
    return _finished(None, environ, response, _request_id(environ), _ANY_PAGE)


def refusal(error: FHIRError, environ: dict[str, Any]) -> FlaskResponse:
    """The response to what Flask itself refuses, in the same form."""
    response = Response(error.status, outcome_bytes(error.issues), dict(error.headers))
    return _flask(_finished(None, environ, response, _request_id(environ)))


def read_request(service: Service, environ: dict[str, Any]) -> Request:
    """The Request in a WSGI environment, its body unpacked and within limits."""
    method = environ["REQUEST_METHOD"]
    if method not in METHODS:
        message = f"The method {method[:16]} is not offered."
        raise MethodNotAllowed(message, headers={"Allow": ", ".join(METHODS)})
    raw, _, query = _raw_url(environ).partition("?")
    if len(raw) + len(query) >= _LONGEST_URL:
        raise TooLongURI("The URL is too long. Send the search as POST [type]/_search.")
    settings = service.engine.settings
    steps = tuple(decoding.text(step) for step in raw.split("/") if step)[_depth(settings.base_url) :]
    headers = _headers(environ)
    asked = Request(
        method, steps, decoding.pairs(query), headers,
        base=settings.base_url.rstrip("/"), stream=environ["wsgi.input"], dispatch=service.entry,
    )  # fmt: skip
    if method in {"GET", "HEAD"} or service.streams(asked):
        return asked
    body = _body(environ, headers, settings.max_resource_bytes if steps else settings.max_bundle_bytes)
    return with_form_format(asked.with_body(body))


@lru_cache(maxsize=8)
def _depth(base_url: str) -> int:
    return len([step for step in base_url.split("/")[3:] if step])


def _raw_url(environ: dict[str, Any]) -> str:
    """Path and query as they were sent: WSGI's PATH_INFO is decoded already and hides broken encodings."""
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if raw:
        return _as_utf8(re.sub(r"^https?://[^/]*", "", raw))
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    decoding.refuse_broken(path)
    encoded = "".join(char if char not in "%?#" else f"%{ord(char):02X}" for char in path)
    return _as_utf8(f"{encoded}?{environ.get('QUERY_STRING', '')}")


def _as_utf8(raw: str) -> str:
    """WSGI hands bytes over as Latin-1; what is not ASCII among them is UTF-8."""
    try:
        return raw if raw.isascii() else raw.encode("latin-1").decode()
    except UnicodeError as error:
        raise BadValue("The URL is not UTF-8.") from error


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    found = {_header_name(name): value for name, value in environ.items() if name.startswith("HTTP_")}
    for variable, name in (("CONTENT_TYPE", "content-type"), ("CONTENT_LENGTH", "content-length")):
        if environ.get(variable):
            found[name] = environ[variable]
    return found


@lru_cache(maxsize=256)
def _header_name(variable: str) -> str:
    return variable[5:].replace("_", "-").lower()


def _body(environ: dict[str, Any], headers: dict[str, str], limit: int) -> bytes:
    stated = environ.get("CONTENT_LENGTH") or ""
    if stated and not stated.isdecimal():
        raise BadValue("Content-Length must be a whole number.")
    if stated and int(stated) > limit:
        raise TooLarge(f"The body is longer than {limit} bytes.")
    if not stated and "chunked" not in headers.get("transfer-encoding", "").lower():
        return b""
    body = environ["wsgi.input"].read(int(stated) if stated else limit + 1)
    if len(body) > limit:
        raise TooLarge(f"The body is longer than {limit} bytes.")
    if stated and len(body) < int(stated):
        raise Structure("The body ended before its Content-Length.")
    plain = unpacked(headers.get("content-encoding", ""), body, limit)
    return bytes(plain)


class _Input:
    """The body on its way in; knows how much of it has not been read, where its length was stated."""

    def __init__(self, environ: dict[str, Any]) -> None:
        stated = environ.get("CONTENT_LENGTH") or ""
        self._source = environ["wsgi.input"]
        self._left = int(stated) if stated.isdecimal() else None

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, never past the stated length: behind it some servers wait for more."""
        if self._left is not None:
            size = self._left if size < 0 else min(size, self._left)
        piece: bytes = self._source.read(size) if size else b""
        if self._left is not None:
            self._left -= len(piece)
        return piece

    def discard(self) -> None:
        """Read what is left of a refused body: a client that is still sending would never see the answer."""
        while self._left and self._left <= _MOST_DISCARDED and self.read(65_536):
            pass


def _request_id(environ: dict[str, Any]) -> str:
    """The request's number, the same however often it is asked for."""
    number: str = environ.setdefault(_NUMBER, request_ids.request_id(str(environ.get("HTTP_X_REQUEST_ID", ""))))
    return number


def _finished(
    asked: Request | None, environ: dict[str, Any], response: Response, request_id: str, origins: str = ""
) -> Response:
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
    if origins == _ANY_PAGE:
        return {"Access-Control-Allow-Origin": _ANY_PAGE, **exposed}
    varying = {"Vary": _ALWAYS["Vary"] + ", Origin"}
    if origin and origin in origins.split():
        return {"Access-Control-Allow-Origin": origin, **exposed, **varying}
    return varying


def _complete(response: Response) -> dict[str, str]:
    """The headers with the length of the body, where there is one to tell."""
    headers = response.headers
    if isinstance(response.body, bytes) and response.status not in _NO_BODY:
        headers.setdefault("Content-Length", str(len(response.body)))
    return headers


def _flask(response: Response) -> FlaskResponse:
    answered = FlaskResponse(response.body, status=response.status)
    answered.headers.clear()
    for name, value in _complete(response).items():
        answered.headers[name] = value
    return answered
