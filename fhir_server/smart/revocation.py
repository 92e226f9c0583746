"""Ending a token before its time.  https://www.rfc-editor.org/rfc/rfc7009"""

from typing import Any

from authlib.oauth2.rfc7009 import RevocationEndpoint

from fhir_server.smart.tokens import Token


class Revocation(RevocationEndpoint):
    """A client ends its own tokens; an unknown token is answered like one that was ended."""

    CLIENT_AUTH_METHODS = ("bearer", "private_key_jwt")

    def query_token(self, token_string: str, _hint: str | None) -> Token | None:
        """The live token; None otherwise, whatever the hint says."""
        found: Token | None = self.server.find_token(token_string)
        return found

    def revoke_token(self, token: Token, _request: Any) -> None:
        """Refuse the token from the next statement on."""
        self.server.revoke_token(token)
