"""OAuth failures as this server words them.  https://www.rfc-editor.org/rfc/rfc6749#section-5.2"""

from http import HTTPStatus

from authlib.oauth2.rfc6749 import InvalidClientError


class InvalidClient(InvalidClientError):
    """The client could not prove who it is; 401, and no hint about which registrations exist."""

    status_code = HTTPStatus.UNAUTHORIZED.value

    def get_headers(self) -> list[tuple[str, str]]:
        """The JSON headers; for a 401 also the one scheme that the token endpoint takes."""
        plain = [
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
            ("Pragma", "no-cache"),
        ]
        if self.status_code != HTTPStatus.UNAUTHORIZED:
            return plain
        return [*plain, ("WWW-Authenticate", "private_key_jwt")]
