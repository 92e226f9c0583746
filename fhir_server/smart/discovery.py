"""What this authorization server offers, said where clients look for it.

https://hl7.org/fhir/smart-app-launch/conformance.html
"""

from typing import Any

from fhir_server.smart.keys import KEY_TYPES

TOKEN_PATH = "/auth/token"  # noqa: S105 - a path, no secret
INTROSPECTION_PATH = "/auth/introspect"
REVOCATION_PATH = "/auth/revoke"
WELL_KNOWN = "/.well-known/smart-configuration"

_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_SERVICE_SYSTEM = "http://terminology.hl7.org/CodeSystem/restful-security-service"


def root(base_url: str) -> str:
    """The server's address without the FHIR base path."""
    return base_url.rstrip("/").removesuffix("/fhir")


def audiences(base_url: str) -> list[str]:
    """The values an assertion's `aud` may have: the token URL and the issuer."""
    return [root(base_url) + TOKEN_PATH, base_url.rstrip("/")]


def smart_configuration(base_url: str, grant_types: list[str]) -> dict[str, Any]:
    """The SMART configuration document; absolute URLs only."""
    here = root(base_url)
    methods = ["private_key_jwt"]
    algorithms = sorted(KEY_TYPES)
    return {
        "token_endpoint": here + TOKEN_PATH,
        "introspection_endpoint": here + INTROSPECTION_PATH,
        "revocation_endpoint": here + REVOCATION_PATH,
        "grant_types_supported": grant_types,
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        # SMART requires the member even of a server without an authorization endpoint.
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["system/*.cruds", "system/*.rs", "system/*.read", "system/*.write", "system/*.*"],
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
    }


def capability_security(base_url: str) -> dict[str, Any]:
    """CapabilityStatement.rest.security: the service code, and the token URL for clients of SMART 1."""
    here = root(base_url)
    uris = {"token": here + TOKEN_PATH, "introspect": here + INTROSPECTION_PATH, "revoke": here + REVOCATION_PATH}
    return {
        "extension": [
            {"url": _OAUTH_URIS, "extension": [{"url": name, "valueUri": uri} for name, uri in uris.items()]}
        ],
        "cors": True,
        "service": [
            {"coding": [{"system": _SERVICE_SYSTEM, "code": "SMART-on-FHIR"}], "text": "SMART Backend Services"}
        ],
        "description": "Access tokens by client_credentials with private_key_jwt (RS384, ES384).",
    }
