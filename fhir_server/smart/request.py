"""What an OAuth endpoint is asked and answers, without a web framework."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from authlib.oauth2.rfc6749 import OAuth2Request
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload


class Answer(NamedTuple):
    """Status, JSON body and headers."""

    status: int
    body: Mapping[str, Any]
    headers: list[tuple[str, str]]


class FormRequest(OAuth2Request):
    """A posted form with the Authorization header, the address it came from and the number of the request."""

    def __init__(self, form: dict[str, str], authorization: str = "", address: str = "", number: str = "") -> None:
        # TLS ends at the reverse proxy, and nothing below depends on the URL: the library is told that it is secure.
        super().__init__("POST", "https://localhost/")
        self.payload = BasicOAuth2Payload(form)
        self.authorization = authorization
        self.address = address
        self.number = number
        self._form = form

    @property
    def form(self) -> dict[str, str]:
        """The form's fields, each given once."""
        return self._form
