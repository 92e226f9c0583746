"""The entries of a batch or transaction Bundle, each as the Request it stands for.

https://hl7.org/fhir/R4/bundle.html#bundle-unique
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from fhir_server.fhir import wire
from fhir_server.fhir.errors import (
    FHIRError,
    Invalid,
    NotSupported,
    RequiredMissing,
    Structure,
    TooLarge,
    UnsupportedMedia,
)
from fhir_server.rest import decoding
from fhir_server.rest.message import Request
from fhir_server.rest.negotiation import JSON_PATCH
from fhir_server.validation import structure

MOST_ENTRIES = 500
_CONDITIONS = {
    "ifMatch": "if-match",
    "ifNoneExist": "if-none-exist",
    "ifNoneMatch": "if-none-match",
    "ifModifiedSince": "if-modified-since",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its place, fullUrl, the request it asks for, and its resource, both parsed and as it was written."""

    number: int
    full_url: str
    request: Mapping[str, Any]
    resource: Mapping[str, Any] | None
    body: bytes

    @property
    def where(self) -> str:
        """Its FHIRPath."""
        return f"Bundle.entry[{self.number}]"

    @property
    def type(self) -> str:
        """The type of its resource, "" without one."""
        return str(self.resource["resourceType"]) if self.resource and "resourceType" in self.resource else ""


class TooManyEntries(TooLarge):
    """A Bundle with more entries than are taken at once (row 93)."""

    code = "too-costly"


class _Raw(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"")


class _RawBundle(msgspec.Struct):
    entry: list[_Raw] = msgspec.field(default_factory=list)


def read_bundle(body: bytes, limit: int) -> tuple[str, list[Entry]]:
    """(Bundle.type, entries); 400 for what is no Bundle of requests, 413 over 500 entries (rows 91 and 93)."""
    parsed = wire.parse(body, limit)
    if parsed.get("resourceType") != "Bundle":
        raise Invalid("POST to the base takes a Bundle of type batch or transaction.", "resourceType")
    found = parsed.get("entry", [])
    if not isinstance(found, list):
        raise Structure("Bundle.entry must be an array.", "Bundle.entry")
    if len(found) > MOST_ENTRIES:
        raise TooManyEntries(f"At most {MOST_ENTRIES} entries are taken. Send several Bundles.", "Bundle.entry")
    if parsed.get("type") in ("batch", "transaction"):
        for number, entry in enumerate(found):
            _require_form(number, entry)
    structure.check_envelope(parsed)
    raw = msgspec.json.decode(body, type=_RawBundle).entry
    entries = [_entry(number, *pair) for number, pair in enumerate(zip(found, raw, strict=True))]
    return str(parsed["type"]), entries


def _require_form(number: int, entry: Any) -> None:
    where = f"Bundle.entry[{number}]"
    if not isinstance(entry, dict):
        raise Structure("Every Bundle.entry must be an object.", where)
    if "request" not in entry:
        raise RequiredMissing("The entry needs request.method and request.url.", f"{where}.request")
    if "resource" in entry and not isinstance(entry["resource"], dict):
        raise Structure("The resource of an entry must be an object.", f"{where}.resource")


def _entry(number: int, parsed: Mapping[str, Any], raw: _Raw) -> Entry:
    return Entry(
        number, parsed.get("fullUrl", ""), parsed.get("request", {}), parsed.get("resource"), bytes(raw.resource)
    )


def as_request(outer: Request, entry: Entry) -> Request:
    """The entry as a Request; a failure names the entry (rows 91, 93 and 95)."""
    try:
        return _as_request(outer, entry)
    except FHIRError as error:
        raise named(entry, error) from error


def _as_request(outer: Request, entry: Entry) -> Request:
    asked = entry.request
    path, _, query = asked["url"].removeprefix(outer.base).partition("?")
    steps = tuple(decoding.text(step) for step in path.split("/") if step)
    if not steps and asked["method"] == "POST":
        raise NotSupported("A Bundle of requests cannot hold another one.", "request.url")
    headers = {name: str(asked[key]) for key, name in _CONDITIONS.items() if key in asked}
    headers |= {"prefer": outer.header("prefer"), "content-type": _media_type(entry)}
    return Request(
        asked["method"], steps, decoding.pairs(query), headers, _body(asked["method"], steps, entry), outer.base,
        entry.resource if asked["method"] in {"POST", "PUT"} else None, dispatch=outer.dispatch,
    )  # fmt: skip


def _media_type(entry: Entry) -> str:
    return JSON_PATCH if (entry.request["method"], entry.type) == ("PATCH", "Binary") else "application/fhir+json"


def _body(method: str, steps: Sequence[str], entry: Entry) -> bytes:
    if method == "PATCH":
        return _patch(entry)
    if method not in {"POST", "PUT"}:
        return b""
    if not entry.body and not steps[-1].startswith(("_", "$")):
        raise RequiredMissing(f"{method} needs the resource in the entry.", "resource")
    return entry.body


def _patch(entry: Entry) -> bytes:
    """The patch of an entry: a FHIRPath Patch, or a Binary with a JSON Patch.  http.html#jsonpatch"""
    if entry.resource is None:
        raise RequiredMissing("PATCH needs Parameters, or a Binary with a JSON Patch, in the entry.", "resource")
    if entry.type == "Parameters":
        return entry.body
    if entry.type != "Binary" or entry.resource.get("contentType") != JSON_PATCH:
        raise UnsupportedMedia(f"PATCH in a Bundle takes Parameters, or a Binary of {JSON_PATCH}.", "resource")
    structure.check("Binary", dict(entry.resource))
    return base64.b64decode(entry.resource.get("data", ""))


def named(entry: Entry, error: FHIRError) -> FHIRError:
    """The same failure, naming the entry and where in it, if it does not yet."""
    error.issues = tuple(
        issue
        if issue.expression == entry.where
        else replace(
            issue, diagnostics=f"{entry.where}: {issue.diagnostics}", expression=_within(entry, issue.expression)
        )
        for issue in error.issues
    )
    return error


def _within(entry: Entry, expression: str | None) -> str:
    """An expression below the entry: of its request, or of its resource (`Basic.code` and `code` are the same)."""
    if not expression:
        return entry.where
    head, _, tail = expression.partition(".")
    if head in {"request", "resource"}:
        return f"{entry.where}.{expression}"
    inner = tail if head == entry.type else expression
    return f"{entry.where}.resource.{inner}" if inner else f"{entry.where}.resource"
