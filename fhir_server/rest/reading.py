"""What WSGI hands over becomes a Request: address, URL, headers, and a body within limits."""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from fhir_server.engine import request_ids
from fhir_server.fhir.errors import BadValue, MethodNotAllowed, Structure, TooLarge, TooLongURI
from fhir_server.rest import decoding
from fhir_server.rest.answer import Service
from fhir_server.rest.message import Request
from fhir_server.rest.negotiation import unpacked, with_form_format
from fhir_server.rest.routes import METHODS

_LONGEST_URL = 16 * 1024
_LONGEST_ADDRESS = 45  # of IPv6 with an IPv4 address at its end
_MOST_DISCARDED = 64 * 1024**2
_NUMBER = "fhir.request_id"


def read_request(service: Service, environ: dict[str, Any]) -> Request:
    """The Request in a WSGI environment, its body unpacked and within limits."""
    method = environ["REQUEST_METHOD"]
    if method not in METHODS:
        message = f"The method {method[:16]} is not offered."
        raise MethodNotAllowed(message, headers={"Allow": ", ".join(METHODS)})
    raw, _, query = _raw_url(environ).partition("?")
    if len(raw) + len(query) >= _LONGEST_URL:
        raise TooLongURI("The URL is too long. Send the search as POST [type]/_search.")
    settings = service.engine.settings
    steps = tuple(decoding.text(step) for step in raw.split("/") if step)[_depth(settings.base_url) :]
    headers = _headers(environ)
    asked = Request(
        method, steps, decoding.pairs(query), headers,
        base=settings.base_url.rstrip("/"), stream=environ["wsgi.input"], dispatch=service.entry,
    )  # fmt: skip
    if method in {"GET", "HEAD"} or service.streams(asked):
        return asked
    admitted = service.admit(asked)
    if admitted is None:
        return asked
    body = _body(environ, headers, settings.max_resource_bytes if steps else settings.max_bundle_bytes)
    return with_form_format(admitted.with_body(body))


@lru_cache(maxsize=8)
def _depth(base_url: str) -> int:
    return len([step for step in base_url.split("/")[3:] if step])


def _raw_url(environ: dict[str, Any]) -> str:
    """Path and query as they were sent: WSGI's PATH_INFO is decoded already and hides broken encodings."""
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if raw:
        return _as_utf8(re.sub(r"^https?://[^/]*", "", raw))
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    decoding.refuse_broken(path)
    encoded = "".join(char if char not in "%?#" else f"%{ord(char):02X}" for char in path)
    return _as_utf8(f"{encoded}?{environ.get('QUERY_STRING', '')}")


def _as_utf8(raw: str) -> str:
    """WSGI hands bytes over as Latin-1; what is not ASCII among them is UTF-8."""
    try:
        return raw if raw.isascii() else raw.encode("latin-1").decode()
    except UnicodeError as error:
        raise BadValue("The URL is not UTF-8.") from error


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    found = {_header_name(name): value for name, value in environ.items() if name.startswith("HTTP_")}
    for variable, name in (("CONTENT_TYPE", "content-type"), ("CONTENT_LENGTH", "content-length")):
        if environ.get(variable):
            found[name] = environ[variable]
    return found


@lru_cache(maxsize=256)
def _header_name(variable: str) -> str:
    return variable[5:].replace("_", "-").lower()


def _body(environ: dict[str, Any], headers: dict[str, str], limit: int) -> bytes:
    stated = environ.get("CONTENT_LENGTH") or ""
    if stated and not stated.isdecimal():
        raise BadValue("Content-Length must be a whole number.")
    if stated and int(stated) > limit:
        raise TooLarge(f"The body is longer than {limit} bytes.")
    if not stated and "chunked" not in headers.get("transfer-encoding", "").lower():
        return b""
    body = environ["wsgi.input"].read(int(stated) if stated else limit + 1)
    if len(body) > limit:
        raise TooLarge(f"The body is longer than {limit} bytes.")
    if stated and len(body) < int(stated):
        raise Structure("The body ended before its Content-Length.")
    plain = unpacked(headers.get("content-encoding", ""), body, limit)
    return bytes(plain)


class Input:
    """The body on its way in; knows how much of it has not been read, where its length was stated."""

    def __init__(self, environ: dict[str, Any]) -> None:
        stated = environ.get("CONTENT_LENGTH") or ""
        self._source = environ["wsgi.input"]
        self._left = int(stated) if stated.isdecimal() else None

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, never past the stated length: behind it some servers wait for more."""
        if self._left is not None:
            size = self._left if size < 0 else min(size, self._left)
        piece: bytes = self._source.read(size) if size else b""
        if self._left is not None:
            self._left -= len(piece)
        return piece

    def discard(self) -> None:
        """Read what is left of a refused body: a client that is still sending would never see the answer."""
        while self._left and self._left <= _MOST_DISCARDED and self.read(65_536):
            pass


def request_id(environ: dict[str, Any]) -> str:
    """The request's number, the same however often it is asked for."""
    number: str = environ.setdefault(_NUMBER, request_ids.request_id(str(environ.get("HTTP_X_REQUEST_ID", ""))))
    return number


def sender(environ: Mapping[str, Any], proxies: Collection[str]) -> str:
    """The address that a request came from; behind listed proxies the last one they name that is none of them."""
    address = str(environ.get("REMOTE_ADDR", ""))
    for named in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        if address not in proxies or not named.strip():
            break
        address = named.strip()[:_LONGEST_ADDRESS]
    return address


@lru_cache(maxsize=8)
def path_of(base_url: str) -> str:
    """The path of a base URL, without a slash at its end."""
    return "/" + "/".join(step for step in base_url.split("/")[3:] if step)
