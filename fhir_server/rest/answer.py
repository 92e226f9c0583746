"""From a Request to its Response: authenticate, route, negotiate, dispatch; errors become OperationOutcomes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from http import HTTPStatus

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import parse as parse_scopes
from fhir_server.engine import repository
from fhir_server.engine.context import Context, Engine
from fhir_server.fhir.errors import (
    FHIRError,
    InsecureRequest,
    LoginRequired,
    NoStore,
    NotSupported,
    Throttled,
    UnknownType,
    Unseen,
)
from fhir_server.fhir.outcome import outcome_bytes
from fhir_server.rest import beat, negotiation
from fhir_server.rest.failures import known
from fhir_server.rest.gate import says_consent
from fhir_server.rest.message import Interaction, Operation, Request, Response
from fhir_server.rest.once import HEADER, once
from fhir_server.rest.routes import Routes
from fhir_server.rest.shares import Shares
from fhir_server.smart.tokens import authenticate

ANYONE = Caller("", "", 0, "non-hipaa", parse_scopes(""), "")
_WRITES = {"create", *(verb + form for verb in ("update", "patch", "delete") for form in ("", "-conditional"))}
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="fhir"'}


@dataclass(frozen=True)
class Service:
    """The engine with its routes, and what each client may ask of it: what answers requests."""

    engine: Engine
    routes: Routes
    shares: Shares = field(default_factory=lambda: Shares(0))

    def streams(self, request: Request) -> bool:
        """Whether the body of this request is a file that its operation reads as a stream."""
        try:
            row = self.routes.find(request)
        except FHIRError:
            return False
        return isinstance(row, Operation) and row.reads_stream

    def admit(self, request: Request) -> Request | None:
        """The request with its caller, before its body is read; None if it is refused whatever the body says.

        Who has no token uploads nothing, and unpacks nothing.
        """
        try:
            row = self.routes.find(request)
            if isinstance(row, Interaction) and row.open:
                return request
            return replace(request, caller=self._caller(request))
        except FHIRError as error:
            if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            return None

    def answer(self, request: Request, request_id: str, address: str) -> Response:
        """The response to one request; never raises."""
        since = beat.began()
        return beat.keep(self._answer(request, request_id, address), since)

    def _answer(self, request: Request, request_id: str, address: str) -> Response:
        context: Context | None = None
        try:
            if request.method == "OPTIONS":
                return self._preflight(request)
            row = self.routes.find(request)
            if not (isinstance(row, Operation) and row.answers_file):
                negotiation.require_acceptable(request)
            if isinstance(row, Interaction) and row.open:
                return row.handler(self._anonymous(request_id, address), request)
            context = self.engine.context(self._caller(request), request_id, address)
            if not says_consent(request.path, request.method):
                self.shares.take(context.caller.client)
            return self._run(context, row, request)
        except Exception as error:  # noqa: BLE001 - the one place where failures become answers
            return self._failure(context or self._anonymous(request_id, address), request, request_id, error)

    def _preflight(self, request: Request) -> Response:
        """What may be asked of this URL, for browsers too; needs no token (B-53)."""
        methods = ", ".join(self.routes.methods(request))
        allowed = {"Access-Control-Allow-Methods": methods, "Access-Control-Allow-Headers": "*, Authorization"}
        return Response(204, b"", {"Allow": methods, **allowed, "Access-Control-Max-Age": "86400"})

    def _run(self, context: Context, row: Interaction | Operation, request: Request) -> Response:
        if (
            request.method in {"POST", "PUT", "PATCH"}
            and request.body
            and not (isinstance(row, Operation) and row.reads_stream)
        ):
            if request.path[-1:] == ("_search",):
                negotiation.require_form_body(request)
            elif not (isinstance(row, Operation) and request.media_type in row.also_takes):
                request = negotiation.with_json_body(request)
        return self._handled(context, row, request)

    def _handled(self, context: Context, row: Interaction | Operation, request: Request) -> Response:
        """The handler's response, or its error, on the operation's beat if it has one."""
        if isinstance(row, Interaction) or not row.beat:
            return self._once(context, row, request)
        if context.transaction:
            raise NotSupported(f"${row.name} cannot stand in a transaction Bundle: send it alone, or in a batch.")
        since = beat.began()
        try:
            return self._once(context, row, request)
        finally:
            beat.wait(since, row.beat)

    def _once(self, context: Context, row: Interaction | Operation, request: Request) -> Response:
        """The handler's response, the kept one where the request came before under its Idempotency-Key."""
        if HEADER in request.headers and self._happens_once(row, request):
            return once(context, request, row.handler)
        return row.handler(context, request)

    def _happens_once(self, row: Interaction | Operation, request: Request) -> bool:
        if isinstance(row, Interaction):
            return row.code in _WRITES
        if row.reads_stream:
            raise NotSupported(f"${row.name} takes a file and no Idempotency-Key: a file may be sent again.")
        definition = self.engine.definitions.resource(row.definition) or {}
        return request.method == "POST" and bool(definition.get("affectsState", True))

    def entry(self, context: Context, request: Request) -> Response:
        """The response to one entry of a batch or transaction; raises what the interaction raises."""
        row = self.routes.find(request)
        if isinstance(row, Operation) and row.reads_stream:
            raise NotSupported(f"${row.name} takes a file as its body and cannot stand in a Bundle.")
        if isinstance(row, Operation) and row.also_takes:
            raise NotSupported(f"${row.name} answers no resource and cannot stand in a Bundle.")
        self.shares.owe(context.caller.client)
        return self._handled(context, row, request)

    def _caller(self, request: Request) -> Caller:
        if request.caller is not None:
            return request.caller
        if any(name == "access_token" for name, _ in request.parameters):
            raise InsecureRequest("An access token does not belong in a URL. Send it as Authorization: Bearer.")
        scheme, _, token = request.header("authorization").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise LoginRequired("An access token is needed: Authorization: Bearer [token].", headers=_CHALLENGE)
        return authenticate(self.engine.database.read(), token.strip(), self.engine.clock())

    def _anonymous(self, request_id: str, address: str) -> Context:
        return self.engine.context(ANYONE, request_id, address)

    def _failure(self, context: Context, request: Request, request_id: str, error: Exception) -> Response:
        failure = known(error, request_id)
        if not isinstance(failure, Unseen | UnknownType):
            try:
                note = repository.note_refusal if _is_endless(context, failure) else repository.note
                note(context, request.method, failure.status, "/".join(request.path))
            except NoStore as unaudited:
                failure = unaudited
        headers = {"Content-Type": "application/fhir+json; charset=utf-8", **failure.headers}
        return Response(failure.status, outcome_bytes(failure.issues), headers)


def _is_endless(context: Context, failure: FHIRError) -> bool:
    """Whether the same can be refused again and again: to nobody, and to who was told to wait."""
    return context.caller is ANYONE or isinstance(failure, Throttled)
