"""Strict decoding of URLs and forms: what is not valid percent-encoded UTF-8 is refused (catalogue row 89)."""

import re
from urllib.parse import unquote_to_bytes

from fhir_server.fhir.errors import BadValue

_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def text(encoded: str, *, plus: bool = False) -> str:
    """The decoded text of one component; BadValue if its percent-encoding or UTF-8 is broken."""
    if "%" not in encoded:
        decoded = encoded.replace("+", " ") if plus else encoded
    else:
        if _BROKEN.search(encoded):
            raise BadValue("The URL has a % that two hexadecimal digits do not follow. Encode % as %25.")
        try:
            decoded = unquote_to_bytes(encoded.replace("+", " ") if plus else encoded).decode()
        except UnicodeDecodeError as error:
            raise BadValue("The URL's percent-encoding is not UTF-8.") from error
    if _CONTROL.search(decoded):
        raise BadValue("The URL holds a control character.")
    return decoded


def refuse_broken(path: str) -> None:
    """BadValue for a % in a path that a server has decoded already: no id or name holds one, so its code was broken."""
    if _BROKEN.search(path):
        raise BadValue("The URL has a % that two hexadecimal digits do not follow. Encode % as %25.")


def pairs(query: str) -> list[tuple[str, str]]:
    """The (name, value) pairs of a query string or form body, in their order; empty pieces are left out."""
    found = []
    for piece in query.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            found.append((text(name, plus=True), text(value, plus=True)))
    return found
