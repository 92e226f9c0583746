"""The edge: a WSGI request becomes a Request, a Response becomes WSGI's or Flask's. No rule lives here.

What is below the FHIR base does not pass through Flask: its request context, routing and response objects cost more
than reading a resource does, access and audit included.
"""

from collections.abc import Iterable
from contextlib import nullcontext, suppress
from http import HTTPStatus
from typing import Any

from flask import Flask
from flask import Response as FlaskResponse

from fhir_server.engine.events import Event
from fhir_server.fhir.errors import (
    FHIRError,
    NoStore,
    Unavailable,
)
from fhir_server.fhir.outcome import outcome_bytes
from fhir_server.rest.answer import Service
from fhir_server.rest.failures import known
from fhir_server.rest.finishing import ANY_PAGE, complete, finished, status_line
from fhir_server.rest.gate import Gate, says_consent
from fhir_server.rest.health import LIVE, READY, Health
from fhir_server.rest.message import Request, Response
from fhir_server.rest.negotiation import presented
from fhir_server.rest.reading import Input, path_of, read_request, request_id, sender
from fhir_server.rest.turns import Turns, reads

_WELL_KNOWN = "/.well-known/"


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
            below = path.removeprefix(path_of(engine.settings.base_url))
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
            return _send(finished(None, environ, response, request_id(environ), ANY_PAGE), start_response)
        base = path_of(self.service.engine.settings.base_url)
        if (path == base or path.startswith(base + "/")) and not path.startswith(base + _WELL_KNOWN):
            return _send(answer(self.service, environ), start_response)
        found: Iterable[bytes] = super().wsgi_app(environ, start_response)
        return found


_HEALTH = {LIVE, READY}
_RESERVED = ("/auth/revoke", "/auth/introspect")


def _is_reserved(path: str, below: str, method: str) -> bool:
    """Whether a request gets through however many there are: what ends a token, what a consent says, and health."""
    return path in _HEALTH or path in _RESERVED or says_consent([step for step in below.split("/") if step], method)


def _send(response: Response, start_response: Any) -> Iterable[bytes]:
    start_response(status_line(response.status), list(complete(response).items()))
    return [response.body] if isinstance(response.body, bytes) else response.body


def answer(service: Service, environ: dict[str, Any]) -> Response:
    """The complete response to a WSGI request below the FHIR base; never raises."""
    number = request_id(environ)
    asked: Request | None = None
    environ["wsgi.input"] = body = Input(environ)
    try:
        asked = read_request(service, environ)
        response = presented(asked, service.answer(asked, number, environ.get("REMOTE_ADDR", "")))
    except Exception as error:  # noqa: BLE001 - nobody above would word it
        failure = known(error, number)
        _note(service, environ, number, failure.status)
        response = Response(failure.status, outcome_bytes(failure.issues), dict(failure.headers))
    if response.status >= HTTPStatus.BAD_REQUEST:
        body.discard()
    return finished(asked, environ, response, number, service.engine.settings.cors_origins)


def _note(service: Service, environ: dict[str, Any], number: str, status: int) -> None:
    """Tell the trail, in bounded space, of what was refused before it was known what it is; no data are at stake."""
    engine = service.engine
    what = str(environ["REQUEST_METHOD"])[:16], status
    told = Event(
        engine.clock() * 1000,
        number,
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
    _note(service, environ, request_id(environ), error.status)
    environ["wsgi.input"] = body = Input(environ)
    body.discard()
    response = Response(error.status, outcome_bytes(error.issues), dict(error.headers))
    return finished(None, environ, response, request_id(environ), ANY_PAGE)


def refusal(error: FHIRError, environ: dict[str, Any]) -> FlaskResponse:
    """The response to what Flask itself refuses, in the same form."""
    response = Response(error.status, outcome_bytes(error.issues), dict(error.headers))
    return _flask(finished(None, environ, response, request_id(environ)))


def _flask(response: Response) -> FlaskResponse:
    answered = FlaskResponse(response.body, status=response.status)
    answered.headers.clear()
    for name, value in complete(response).items():
        answered.headers[name] = value
    return answered
