"""The opaque token of a next or prev link: the query and where its page ended, sealed for one caller and some hours.

https://hl7.org/fhir/R4/http.html#paging
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhir_server.fhir.errors import BadValue, FHIRError, NotFound

LIFETIME_MS = 4 * 3600 * 1000

_NONCE = 12
_PURPOSE = b"search page 2"


class ExpiredPage(FHIRError):
    """The page was offered too long ago; the search can be run again."""

    status, code = 410, "expired"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a search goes on: what it asks, the sort values and row number beyond which, a total if counted.

    `backward`: what lies before them is wanted, instead of what comes after.
    """

    type: str
    within: str
    pairs: tuple[tuple[str, str], ...]
    after: tuple[Any, ...]
    total: int | None = None
    backward: bool = False


class Sealer:
    """Seals places into tokens and opens them again, with one secret of the deployment."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(hashlib.sha256(_PURPOSE + secret).digest())

    def seal(self, place: Place, identity: str, now_ms: int) -> str:
        """A token that only `identity` can use, for LIFETIME_MS."""
        head = [place.type, place.within, place.pairs, place.after, place.total, place.backward]
        content = [*head, identity, now_ms + LIFETIME_MS]
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, orjson.dumps(content), _PURPOSE)
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, token: str, identity: str, now_ms: int) -> Place:
        """The place in a token; BadValue if altered, NotFound if it is another caller's, ExpiredPage if too old."""
        kind, within, pairs, after, total, backward, owner, until = self._content(token)
        if owner != identity:
            raise NotFound("This page does not exist.")
        if until <= now_ms:
            raise ExpiredPage("This page has expired; run the search again.")
        return Place(kind, within, tuple((name, value) for name, value in pairs), tuple(after), total, backward)

    def _content(self, token: str) -> Sequence[Any]:
        try:
            sealed = base64.urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
            opened = self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _PURPOSE)
        except (binascii.Error, UnicodeError, ValueError, InvalidTag):
            raise BadValue("The page token is damaged; follow the link exactly as it was given.") from None
        content: list[Any] = orjson.loads(opened)
        return content
