"""Client authentication by a signed assertion (private_key_jwt), stricter than the library's own.

https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html and https://www.rfc-editor.org/rfc/rfc7523
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, cast

from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc import jws, jwt
from joserfc.errors import JoseError

from fhir_server.smart.clients import Client
from fhir_server.smart.errors import InvalidClient
from fhir_server.smart.keys import ASSERTION_TYPE, KEY_TYPES, REGISTRY, Jwk, PublicKey, only_key
from fhir_server.smart.request import FormRequest

LONGEST_LIFE_SECONDS = 300
LEEWAY_SECONDS = 5  # for iat and nbf only; exp is taken at its word

_LONGEST = 12_288
_LONGEST_JTI = 256
_FOREIGN_KEYS = frozenset({"jwk", "x5u", "x5c", "crit", "b64"})
_BROKEN = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)

# Unknown client, ended client, unknown key and wrong signature are one answer: nobody learns who is registered.
_NO_KEY = "No registered key of this client verifies the assertion; check client id, kid and key."

QueryClient = Callable[[str], Client | None]
KeysOf = Callable[[Client, str], Sequence[Jwk]]
UseOnce = Callable[[str, str, int], bool]


def read(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of an assertion, nothing verified; InvalidClient when it is no JWT."""
    try:
        if len(text) > _LONGEST:
            raise ValueError("too long")
        token = jws.extract_compact(text.encode(), registry=REGISTRY)
        header, claims = dict(token.headers()), json.loads(token.payload)
    except _BROKEN as error:
        raise InvalidClient("The client_assertion is not a JSON Web Token.") from error
    if not isinstance(claims, dict):
        raise InvalidClient("The client_assertion is not a JSON Web Token.")
    return header, claims


class ClientAssertion(JWTBearerClientAssertion):
    """Checks an assertion cheaply first, then its signature, then that its jti is new."""

    def __init__(self, audiences: Sequence[str], clock: Callable[[], int], keys_of: KeysOf, use_once: UseOnce) -> None:
        super().__init__(leeway=LEEWAY_SECONDS)
        self._audiences = list(audiences)
        self._clock = clock
        self._keys_of = keys_of
        self._use_once = use_once

    def __call__(self, query_client: QueryClient, request: FormRequest) -> Client | None:
        """The client whose assertion the form carries; None when it carries none, InvalidClient otherwise."""
        kind, text = request.form.get("client_assertion_type"), request.form.get("client_assertion")
        if not kind and not text:
            return None
        if kind != ASSERTION_TYPE:
            raise InvalidClient(f"client_assertion_type must be {ASSERTION_TYPE}.", status_code=400)
        if not text:
            raise InvalidClient("The client_assertion is missing; send the signed JWT.")
        authenticate = cast("Callable[[QueryClient, FormRequest], Client]", super().__call__)
        client = authenticate(lambda name: _existing(query_client, name), request)
        if request.form.get("client_id", client.id) != client.id:
            raise InvalidClient("client_id and the assertion name different clients.")
        return client

    def get_audiences(self) -> list[str]:
        """The token URL and the issuer: the only values `aud` may have."""
        return self._audiences

    def extract_assertion(self, assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Header and claims with the right form; no key is fetched and nothing looked up for a wrong one."""
        header, claims = read(assertion)
        _check_header(header)
        self._check_claims(claims)
        return header, claims

    def resolve_client_public_key(self, client: Client) -> Callable[[Any], PublicKey]:
        """A function from the signed object to the one key it must be verified with."""

        def key_for(signed: Any) -> PublicKey:
            header = signed.headers()
            if "jku" in header and (not client.jwks_uri or header["jku"] != client.jwks_uri):
                raise InvalidClient("jku is not the key set URL that the client registered.")
            return only_key(self._keys_of(client, header["kid"]), header["kid"], header["alg"])

        return key_for

    def process_assertion_claims(self, assertion: str, resolve_key: Any) -> dict[str, Any]:
        """The claims that the signature covers, fully checked and used up; InvalidClient otherwise."""
        try:
            token = jwt.decode(assertion, resolve_key, registry=REGISTRY)
        except _BROKEN as error:
            raise InvalidClient(_NO_KEY) from error
        self.verify_claims(token.claims)
        return token.claims

    def verify_claims(self, claims: dict[str, Any]) -> None:
        """Check the signed claims and remember their jti; InvalidClient for a wrong one or a second use."""
        self._check_claims(claims)
        if not self._use_once(claims["sub"], claims["jti"], int(claims["exp"] * 1000)):
            raise InvalidClient("This jti was used before; sign a new assertion for each request.")

    def authenticate_client(self, client: Client) -> Client:
        """The client itself: every registered client authenticates this way."""
        return client

    def _check_claims(self, claims: dict[str, Any]) -> None:
        now = self._clock() / 1000
        registry = jwt.JWTClaimsRegistry(
            now=int(now),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True},
            sub={"essential": True},
            aud={"essential": True},
            exp={"essential": True},
            jti={"essential": True},
        )
        try:
            registry.validate(claims)
        except JoseError as error:
            raise InvalidClient(f"{error.description or 'A claim is wrong'} (iss, sub, aud, exp, jti).") from error
        if claims["iss"] != claims["sub"]:
            raise InvalidClient("iss and sub must both be the client id.")
        if claims["aud"] not in self._audiences:  # an array is none of them, whatever it holds
            raise InvalidClient("aud must be one string: the URL of the token endpoint.")
        if not now < claims["exp"] <= now + LONGEST_LIFE_SECONDS:
            raise InvalidClient("exp must lie ahead, by 300 seconds at most.")
        if len(claims["jti"]) > _LONGEST_JTI or not claims["jti"].isprintable():
            raise InvalidClient("jti must be printable text of at most 256 characters.")


def _check_header(header: dict[str, Any]) -> None:
    if not isinstance(header.get("alg"), str) or header["alg"] not in KEY_TYPES:
        raise InvalidClient("alg must be RS384 or ES384.")
    if not isinstance(header.get("kid"), str) or not header["kid"]:
        raise InvalidClient("The header needs the kid of a registered key.")
    if _FOREIGN_KEYS & header.keys():
        raise InvalidClient("The header may not carry keys, certificates or critical extensions.")
    if str(header.get("typ", "JWT")).upper() != "JWT":
        raise InvalidClient("typ must be JWT.")


def _existing(query_client: QueryClient, name: str) -> Client:
    client = query_client(name)
    if client is None:
        raise InvalidClient(_NO_KEY)
    return client
