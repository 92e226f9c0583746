"""What a token stands for.  https://hl7.org/fhir/smart-app-launch/token-introspection.html"""

from typing import Any

from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from fhir_server.smart.clients import Client
from fhir_server.smart.tokens import Token

RIGHT = "introspect"


class Introspection(IntrospectionEndpoint):
    """A client may ask about its own tokens; about others' tokens only with the right `introspect`."""

    CLIENT_AUTH_METHODS = ("bearer", "private_key_jwt")

    def query_token(self, token_string: str, _hint: str | None) -> Token | None:
        """The live token; None otherwise, whatever the hint says."""
        found: Token | None = self.server.find_token(token_string)
        return found

    def check_permission(self, token: Token, client: Client, _request: Any) -> bool:
        """Without permission the answer is the same as for an unknown token."""
        return token.check_client(client) or RIGHT in client.rights.split()

    def introspect_token(self, token: Token) -> dict[str, Any]:
        """The members of the answer for a live token."""
        return {
            "active": True,
            "token_type": "Bearer",
            "scope": token.scope,
            "client_id": token.client,
            "iat": token.issued // 1000,
            "exp": token.expires // 1000,
        }
