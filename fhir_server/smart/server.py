"""The authorization server without a web framework: forms in, answers out.

https://hl7.org/fhir/smart-app-launch/backend-services.html
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    InvalidClientError,
    InvalidRequestError,
    UnsupportedGrantTypeError,
)

from fhir_server.fhir.errors import LoginRequired
from fhir_server.smart import clients, discovery, jwks, tokens
from fhir_server.smart.client_assertion import ClientAssertion, read
from fhir_server.smart.clients import Client
from fhir_server.smart.errors import InvalidClient
from fhir_server.smart.grants import client_credentials
from fhir_server.smart.introspection import Introspection
from fhir_server.smart.keys import Jwk, read_key_set
from fhir_server.smart.request import Answer, FormRequest
from fhir_server.smart.revocation import Revocation
from fhir_server.smart.throttle import Throttle
from fhir_server.store.db import Database

GRANTS = (client_credentials.GRANT,)

Event = Mapping[str, object]
Fetch = Callable[[str], jwks.Fetched]


@dataclass(frozen=True)
class SmartSettings:
    """`throttle`: failed authentications per client and address, "" for any number.

    `private_key_hosts`: whether key sets may come from addresses that are not public (tests, closed networks).
    """

    throttle: str = "5/minute"
    private_key_hosts: bool = False


@dataclass(frozen=True)
class Services:
    """What the authorization server needs; `on_event` is told of every answer before it leaves, and may refuse it."""

    database: Database
    base_url: str
    clock: Callable[[], int]
    settings: SmartSettings = field(default_factory=SmartSettings)
    on_event: Callable[[Event], None] = lambda _event: None
    random: Callable[[int], bytes] = secrets.token_bytes
    fetch: Fetch | None = None


class SmartServer(AuthorizationServer):
    """Authlib's server with our clients, our assertion rules and our tokens."""

    def __init__(self, services: Services) -> None:
        super().__init__()
        self._services = services
        self._throttle = Throttle(services.settings.throttle)
        fetch = services.fetch or partial(jwks.fetch, allow_private=services.settings.private_key_hosts)
        self._remote = jwks.RemoteKeys(services.clock, fetch)
        assertion = ClientAssertion(
            discovery.audiences(services.base_url),
            services.clock,
            self._keys_of,
            partial(tokens.use_assertion, services.database),
        )
        self.register_client_auth_method("private_key_jwt", assertion)
        self.register_client_auth_method("bearer", self._bearer)
        for grant in GRANTS:
            self.register_grant(grant)
        for endpoint in (Introspection, Revocation):
            self.register_endpoint(endpoint)

    def configuration(self) -> dict[str, Any]:
        """The SMART configuration document of this server."""
        return discovery.smart_configuration(self._services.base_url, [str(grant.GRANT_TYPE) for grant in GRANTS])

    def token(self, request: FormRequest) -> Answer:
        """A token, or why there is none."""
        return self._answer("token", request, self._create_token)

    def introspect(self, request: FormRequest) -> Answer:
        """What a token stands for; `active: false` for any that is not live."""
        return self._answer("introspection", request, partial(self.create_endpoint_response, "introspection"))

    def revoke(self, request: FormRequest) -> Answer:
        """End a token."""
        return self._answer("revocation", request, partial(self.create_endpoint_response, "revocation"))

    def refuse(self, name: str, request: FormRequest, answer: Answer) -> Answer:
        """The answer to what is no form that can be read, once it is told."""
        self._tell(name, request, "", answer)
        return answer

    def issue(self, holder: Client, scope: str) -> dict[str, str | int]:
        """A stored token as the token response shows it."""
        services = self._services
        text, life = tokens.issue(services.database, holder, scope, services.clock(), services.random)
        return {"access_token": text, "token_type": "Bearer", "expires_in": life, "scope": scope}

    def find_token(self, text: str) -> tokens.Token | None:
        """The live token of this text."""
        return tokens.find(self._services.database.read(), text, self._services.clock())

    def revoke_token(self, token: tokens.Token) -> None:
        """End this token."""
        tokens.revoke(self._services.database, token.hash)

    def query_client(self, client_id: str) -> Client | None:  # type: ignore[override]  # the stub forgets None
        """The active client of this id."""
        found = clients.get(self._services.database, client_id)
        return found if found is not None and found.active else None

    def authenticate_client(self, request: Any, methods: Any, endpoint: str = "token") -> Any:
        """The client behind a request; InvalidClient when nothing in it says who asks."""
        try:
            return super().authenticate_client(request, methods, endpoint)
        except InvalidClient:
            raise
        except InvalidClientError as error:
            raise InvalidClient("Authenticate with a client_assertion signed by a registered key.") from error

    def create_oauth2_request(self, request: Any) -> Any:
        """The request as it is: the edge has made it already."""
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> Answer:
        """The answer as data for the edge."""
        return Answer(status, body, list(headers))

    def handle_error_response(self, _request: Any, error: Any) -> Answer:
        """The failure as RFC 6749 JSON."""
        if isinstance(error, UnsupportedGrantTypeError):
            error.description = "grant_type must be client_credentials."
        return self.handle_response(*error())

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """No signals: `on_event` tells what happened."""

    def _create_token(self, request: FormRequest) -> Answer:
        if not request.form.get("grant_type"):
            missing = InvalidRequestError("grant_type is missing; send client_credentials.")
            return self.handle_error_response(request, missing)
        return cast("Answer", self.create_token_response(request))

    def _keys_of(self, client: Client, kid: str) -> Sequence[Jwk]:
        return self._remote.keys(client.jwks_uri, kid) if client.jwks_uri else read_key_set(client.jwks)

    def _bearer(self, query_client: Callable[[str], Client | None], request: FormRequest) -> Client | None:
        if not request.authorization:
            return None
        try:
            token = self.find_token(tokens.bearer(request.authorization))
        except LoginRequired as error:
            raise InvalidClient("The Authorization header carries no bearer token.") from error
        if token is None:
            raise InvalidClient("The bearer token is not valid.")
        return query_client(token.client)

    def _answer(self, name: str, request: FormRequest, act: Callable[[FormRequest], Answer]) -> Answer:
        who = claimed_client(request)
        wait = self._throttle.wait(who, request.address)
        answer = _too_many(wait) if wait else act(request)
        if answer.body.get("error") == "invalid_client":
            self._throttle.failed(who, request.address)
        self._tell(name, request, who, answer)
        return answer

    def _tell(self, name: str, request: FormRequest, who: str, answer: Answer) -> None:
        failed = answer.body.get("error") == "invalid_client"
        proven = request.client.get_client_id() if request.client is not None and not failed else ""
        event = {
            "event": name,
            "request": request.number,
            "at": self._services.clock(),
            "client": proven or who,
            "authenticated": bool(proven),
            "address": request.address,
            "status": answer.status,
            "error": str(answer.body.get("error", "")),
            "scope": str(answer.body.get("scope", "")) if name == "token" else "",
        }
        self._services.on_event(event)


def claimed_client(request: FormRequest) -> str:
    """Who the request says it comes from, unproven: for counting and for the audit, at most 64 printable characters."""
    text = request.form.get("client_assertion", "")
    try:
        name = read(text)[1].get("sub") if text else request.form.get("client_id", "")
    except InvalidClient:
        name = ""
    return name[:64] if isinstance(name, str) and name.isprintable() else ""


def _too_many(seconds: int) -> Answer:
    body = {
        "error": "temporarily_unavailable",
        "error_description": f"Too many failed attempts. Try again in {seconds} seconds.",
    }
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("Pragma", "no-cache")]
    return Answer(429, body, [*headers, ("Retry-After", str(seconds))])
