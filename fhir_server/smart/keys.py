"""Client keys: JSON Web Keys for RS384 and ES384, and the assertions signed with them.

https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from fhir_server.fhir.errors import Invalid

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KEY_TYPES = {"RS384": "RSA", "ES384": "EC"}

Jwk = Mapping[str, Any]
PublicKey = RSAKey | ECKey

_PUBLIC = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y")}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_SHORTEST_RSA = 2048  # bits
_LONGEST_EXPONENT = 8  # base64url characters: a longer one makes verifying slow
_LONGEST_MEMBER = 1400  # base64url characters of an 8192-bit modulus, rounded up


class AssertionRegistry(JWSRegistry):
    """The only two algorithms this server verifies, and how long the parts of an assertion may be."""

    max_header_length = 2048
    max_payload_length = 8192
    max_signature_length = _LONGEST_MEMBER


REGISTRY = AssertionRegistry(algorithms=tuple(KEY_TYPES), strict_check_header=False)


def generate(alg: str = "ES384", kid: str | None = None) -> dict[str, Any]:
    """A new private key as a JWK; without `kid` its thumbprint names it."""
    key: PublicKey = RSAKey.generate_key(3072) if KEY_TYPES[alg] == "RSA" else ECKey.generate_key("P-384")
    named = kid or key.thumbprint()
    return {**key.as_dict(private=True), "kid": named, "alg": alg, "use": "sig"}


def key_set(*keys: Jwk) -> dict[str, Any]:
    """The JWKS with the public halves of these keys: what a client registers or publishes."""
    return {"keys": [{name: value for name, value in key.items() if name not in _PRIVATE} for key in keys]}


def sign(key: Jwk, claims: Mapping[str, Any], header: Mapping[str, Any] | None = None) -> str:
    """A JWT over `claims`, signed with a private JWK; `header` adds to or replaces alg, kid and typ."""
    full = {"alg": key["alg"], "kid": key["kid"], "typ": "JWT", **(header or {})}
    private = (RSAKey if key["kty"] == "RSA" else ECKey).import_key(dict(key))
    return jwt.encode(full, dict(claims), private, registry=REGISTRY)


def sign_assertion(key: Jwk, client_id: str, token_url: str, now_ms: int, *, jti: str, lifetime: int = 240) -> str:
    """The client assertion that authenticates `client_id` once at `token_url` for `lifetime` seconds."""
    now = now_ms // 1000
    claims = {"iss": client_id, "sub": client_id, "aud": token_url, "iat": now, "exp": now + lifetime, "jti": jti}
    return sign(key, claims)


def token_form(assertion: str, scope: str) -> dict[str, str]:
    """The form that a backend service posts to the token endpoint."""
    return {
        "grant_type": "client_credentials",
        "scope": scope,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
    }


def read_key_set(body: bytes) -> list[dict[str, Any]]:
    """The keys of a JWKS document, none for another JSON document; ValueError when it is no JSON."""
    try:
        document = json.loads(body)
    except RecursionError as error:
        raise ValueError("The key set is nested too deeply.") from error
    keys = document.get("keys") if isinstance(document, dict) else ()
    return [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []


def only_key(keys: Sequence[Jwk], kid: str, alg: str) -> PublicKey:
    """The one key of this kid and of the algorithm's key type; ValueError when there are none or several."""
    found = [key for key in keys if key.get("kid") == kid and key.get("kty") == KEY_TYPES[alg]]
    if len(found) != 1:
        raise ValueError("Exactly one key must have this kid and key type.")
    return public_key(found[0])


def public_key(key: Jwk) -> PublicKey:
    """The verifying key in a JWK; ValueError in plain words when it cannot serve RS384 or ES384."""
    kind = key.get("kty")
    alg = {"RSA": "RS384", "EC": "ES384"}.get(kind) if isinstance(kind, str) else None
    if alg is None:
        raise ValueError("kty must be RSA or EC.")
    if key.get("use", "sig") != "sig" or key.get("alg", alg) != alg:
        raise ValueError(f"use must be sig and alg must be {alg}.")
    return _import(kind, {name: key.get(name) for name in _PUBLIC[KEY_TYPES[alg]]})


def _import(kind: object, members: dict[str, Any]) -> PublicKey:
    if not all(isinstance(value, str) and len(value) <= _LONGEST_MEMBER for value in members.values()):
        raise ValueError(f"A key of this type needs the members {', '.join(members)}.")
    try:
        return _rsa(members) if kind == "RSA" else _elliptic(members)
    except (JoseError, TypeError, KeyError) as error:
        raise ValueError("The key's members do not make a key.") from error


def _rsa(members: dict[str, Any]) -> RSAKey:
    if len(members["e"]) > _LONGEST_EXPONENT:
        raise ValueError("The RSA exponent is too long.")
    key = RSAKey.import_key(members)
    if key.public_key.key_size < _SHORTEST_RSA:
        raise ValueError("An RSA key needs at least 2048 bits.")
    return key


def _elliptic(members: dict[str, Any]) -> ECKey:
    if members["crv"] != "P-384":
        raise ValueError("An EC key must lie on the curve P-384.")
    return ECKey.import_key(members)


def registrable(jwks: Mapping[str, Any]) -> bytes:
    """The bytes of a key set that may be registered inline; Invalid says what is wrong with which key."""
    keys = jwks.get("keys")
    if not isinstance(keys, list) or not keys:
        raise Invalid("The key set needs a list `keys` with at least one key.", "jwks.keys")
    for position, key in enumerate(keys):
        _check_registrable(key, f"jwks.keys[{position}]")
    names = [(key["kid"], key["kty"]) for key in keys]
    if len(set(names)) != len(names):
        raise Invalid("Two keys of one type share a kid; give each its own.", "jwks.keys")
    return json.dumps({"keys": keys}, separators=(",", ":")).encode()


def _check_registrable(key: object, where: str) -> None:
    if not isinstance(key, dict) or not isinstance(key.get("kid"), str) or not key["kid"]:
        raise Invalid("Every key needs a kid.", where)
    if _PRIVATE & key.keys():
        raise Invalid("This is a private key. Register the public half and replace the key.", where)
    try:
        public_key(key)
    except ValueError as error:
        raise Invalid(f"The key cannot be used: {error}", where) from error
