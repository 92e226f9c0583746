"""Formats: JSON and XML in and out, gzip around either.  https://hl7.org/fhir/R4/http.html#mime-type"""

import gzip
import zlib
from dataclasses import replace
from functools import lru_cache

import msgspec

from fhir_server.fhir import xml
from fhir_server.fhir.errors import NotAcceptable, Structure, TooLarge, UnsupportedMedia
from fhir_server.rest.decoding import pairs
from fhir_server.rest.message import Request, Response

FHIR_JSON = "application/fhir+json; charset=utf-8"
FHIR_XML = "application/fhir+xml; charset=utf-8"
JSON_PATCH = "application/json-patch+json"

_JSON = {"application/fhir+json", "application/json", "text/json", "json", "application/json+fhir"}
_XML = {"application/fhir+xml", "application/xml", "text/xml", "xml", "application/xml+fhir"}
_ANY = {"*/*", "application/*", ""}
_PATCHES = {JSON_PATCH, "application/fhir+json", "application/fhir+xml"}
_RATIO = 100
_PACKET = 1400


def require_acceptable(request: Request) -> None:
    """NotAcceptable (406) unless JSON or XML is among the formats asked for (B-15, B-16)."""
    if not _chosen(request):
        raise NotAcceptable("JSON and XML are offered: application/fhir+json and application/fhir+xml.")


def with_form_format(request: Request) -> Request:
    """The request of a search by form, with what the form says of the answer's format: it counts as in the URL."""
    if request.path[-1:] != ("_search",) or not (b"_format" in request.body or b"_pretty" in request.body):
        return request
    found = [pair for pair in pairs(request.body.decode(errors="replace")) if pair[0] in ("_format", "_pretty")]
    return replace(request, parameters=[*request.parameters, *found])


def _chosen(request: Request) -> str:
    """The format of the answer: json, xml, or "" for none that is offered; _format wins over Accept."""
    wished = [value for name, value in request.parameters if name == "_format"]
    if wished:
        kind = _plain(wished[0].replace(" ", "+"))
        return "json" if kind in _JSON else "xml" if kind in _XML else ""
    return _preferred(request.header("accept"))


@lru_cache(maxsize=256)
def _preferred(accept: str) -> str:
    offers = [part.strip() for part in accept.split(",") if _version_fits(part)]
    json = max((_weight(offer) for offer in offers if _plain(offer) in _JSON | _ANY), default=0.0)
    other = max((_weight(offer) for offer in offers if _plain(offer) in _XML), default=0.0)
    return "xml" if other > json else "json" if json else ""


def presented(request: Request, response: Response) -> Response:
    """The response in the format that was asked for, laid out if that was asked for as well."""
    if not request.parameters and "xml" not in request.header("accept"):
        return response  # nearly always
    kind = response.headers.get("Content-Type", FHIR_JSON)
    if response.body and kind.startswith("application/fhir+json") and _chosen(request) == "xml":
        whole = response.body if isinstance(response.body, bytes) else b"".join(response.body)
        response.body, response.headers["Content-Type"] = xml.from_json(whole), FHIR_XML
    elif isinstance(response.body, bytes):
        response.body = _laid_out(request, kind, response.body)
    return response


def with_json_body(request: Request) -> Request:
    """The request with its body as JSON; UnsupportedMedia (415) unless it is JSON or XML in UTF-8 (rows 7, 25, 66)."""
    given = request.header("content-type")
    kind, charset = _plain(given), _parameter(given, "charset")
    wanted = _PATCHES if request.method == "PATCH" else _JSON | _XML
    if kind not in wanted:
        offered = " or ".join(sorted(one for one in wanted if one == JSON_PATCH or ("fhir+" in one and "/" in one)))
        raise UnsupportedMedia(f"Send the body as Content-Type: {offered}.")
    if charset not in {"", "utf-8", "utf8"} or not _version_fits(given):
        raise UnsupportedMedia("Send the body as UTF-8 and FHIR version 4.0.")
    if kind not in _XML:
        return request
    headers = {**request.headers, "content-type": "application/fhir+json"}
    return replace(request, body=xml.to_json(request.body), headers=headers)


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


def _laid_out(request: Request, media_type: str, body: bytes) -> bytes:
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
