"""Tokens for backend services.  https://hl7.org/fhir/smart-app-launch/backend-services.html"""

from typing import Any

from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant

from fhir_server.smart.scopes import grant


class ClientCredentials(ClientCredentialsGrant):
    """An authenticated client gets what it asks for within its registration."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("private_key_jwt",)

    def __init__(self, request: Any, server: Any) -> None:
        super().__init__(request, server)
        self._granted = ""

    def validate_requested_scope(self) -> None:
        """Work out what is granted; InvalidScopeError when something asked for lies beyond registration."""
        self._granted = grant(self.request.form.get("scope", ""), self.client.scopes)

    def create_token_response(self) -> tuple[int, Any, Any]:
        """Status, body and headers with a stored token; no refresh token."""
        return 200, self.server.issue(self.client, self._granted), self.TOKEN_RESPONSE_HEADER


GRANT = ClientCredentials
