"""Formats: JSON in and out.  https://hl7.org/fhir/R4/http.html#mime-type

XML is not offered: 415 for a body, 406 for an answer.
"""

import gzip
import zlib

import msgspec

from fhir_server.fhir.errors import NotAcceptable, Structure, TooLarge, UnsupportedMedia
from fhir_server.rest.message import Request

_JSON = {"application/fhir+json", "application/json", "text/json", "json", "application/json+fhir"}
_ANY = {"*/*", "application/*", ""}
_RATIO = 100
_PACKET = 1400
_PATCH = "application/json-patch+json"


def require_acceptable(request: Request) -> None:
    """NotAcceptable (406) unless JSON is among the formats asked for; _format wins over Accept (B-15, B-16)."""
    wished = [value for name, value in request.parameters if name == "_format"]
    if wished:
        if _plain(wished[0].replace(" ", "+")) not in _JSON:
            raise NotAcceptable("Only JSON is offered: _format=json.")
        return
    offers = [part.strip() for part in request.header("accept").split(",")]
    if not any(_plain(offer) in _JSON | _ANY and _version_fits(offer) and _weight(offer) for offer in offers):
        raise NotAcceptable("Only JSON is offered: Accept: application/fhir+json.")


def require_json_body(request: Request) -> None:
    """UnsupportedMedia (415) unless the body is declared as JSON in UTF-8 (B-17; rows 7, 25, 66)."""
    given = request.header("content-type")
    kind, charset = _plain(given), _parameter(given, "charset")
    wanted = {_PATCH} if request.method == "PATCH" else _JSON
    if kind not in wanted:
        raise UnsupportedMedia(f"Send the body as Content-Type: {min(wanted)}.")
    if charset not in {"", "utf-8", "utf8"} or not _version_fits(given):
        raise UnsupportedMedia("Send the body as UTF-8 and FHIR version 4.0.")


def require_form_body(request: Request) -> None:
    """UnsupportedMedia (415) unless the body is a form (B-49)."""
    if _plain(request.header("content-type")) != "application/x-www-form-urlencoded":
        raise UnsupportedMedia("POST _search takes Content-Type: application/x-www-form-urlencoded.")


def unpacked(encoding: str, body: bytes, limit: int) -> bytes:
    """The body without its Content-Encoding; refuses bombs (413), broken gzip (400) and other encodings (415)."""
    if encoding.lower() in {"", "identity"}:
        return body
    if encoding.lower() not in {"gzip", "x-gzip"}:
        raise UnsupportedMedia("Of encodings only gzip is offered.")
    most = min(limit, len(body) * _RATIO + 1024)
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(body, most + 1)
    except zlib.error as error:
        raise Structure("The body is not valid gzip.") from error
    if len(plain) > most:
        raise TooLarge("The body unpacks to more than is taken.")
    if not unpacker.eof or unpacker.unused_data:
        raise Structure("The body must be one gzip stream, from its beginning to its end.")
    return plain


def laid_out(request: Request, media_type: str, body: bytes) -> bytes:
    """The body with line breaks for human eyes where `_pretty=true` asks for it; numbers stay as they are written."""
    if not body or ("_pretty", "true") not in request.parameters or "json" not in media_type:
        return body
    return msgspec.json.format(body, indent=2)


def packed(request: Request, body: bytes) -> bytes | None:
    """The body as gzip if the client takes it and it is worth it, else None."""
    offers = request.header("accept-encoding").split(",")
    if len(body) < _PACKET or not any(_plain(offer) in {"gzip", "x-gzip"} and _weight(offer) for offer in offers):
        return None
    return gzip.compress(body, compresslevel=1)


def _plain(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def _parameter(media_type: str, name: str) -> str:
    for part in media_type.split(";")[1:]:
        key, _, value = part.strip().partition("=")
        if key.lower() == name:
            return value.strip('" ').lower()
    return ""


def _weight(offer: str) -> float:
    """The q of one offer; 0 is a refusal."""
    try:
        return float(_parameter(offer, "q") or 1)
    except ValueError:
        return 0


def _version_fits(media_type: str) -> bool:
    return _parameter(media_type, "fhirversion") in {"", "4.0", "4.0.1"}
