"""Bundles of requests: a batch answers each entry by itself, a transaction stores all or nothing.

A transaction is processed DELETE, POST, PUT and PATCH, GET, whatever the order of its entries; `urn:uuid` references
become the new ids, and conditional references are resolved against stored data and earlier entries (B-58 to B-61).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import orjson

from fhir_server.engine.context import Context
from fhir_server.engine.transaction import Transaction
from fhir_server.fhir import bundles, wire
from fhir_server.fhir.errors import (
    CodeInvalid,
    Duplicate,
    FHIRError,
    Invalid,
    NotSupported,
    RequiredMissing,
    Structure,
    TooCostly,
    TooLarge,
)
from fhir_server.fhir.outcome import outcome
from fhir_server.rest import decoding, linking
from fhir_server.rest.failures import known
from fhir_server.rest.message import Request, Response

MOST_ENTRIES = 500
_VERBS = ("DELETE", "POST", "PUT", "PATCH", "GET", "HEAD")
_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}
_CONDITIONS = {"ifMatch": "if-match", "ifNoneExist": "if-none-exist", "ifNoneMatch": "if-none-match",
               "ifModifiedSince": "if-modified-since"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its place, fullUrl, the request it makes, and the bytes of its resource."""

    number: int
    full_url: str
    request: Mapping[str, Any]
    body: bytes
    type: str

    @property
    def where(self) -> str:
        """Its FHIRPath."""
        return f"Bundle.entry[{self.number}]"


class _RawEntry(msgspec.Struct):
    fullUrl: Any = ""  # noqa: N815 - FHIR's name
    request: Any = None
    resource: msgspec.Raw = msgspec.Raw(b"")


class _RawBundle(msgspec.Struct):
    entry: list[_RawEntry] = msgspec.field(default_factory=list)


def read_bundle(body: bytes, limit: int) -> tuple[str, list[Entry]]:
    """(Bundle.type, entries with their resources' own bytes); 400 for what is no Bundle, 413 over 500 entries."""
    parsed = wire.parse(body, limit)
    if parsed.get("resourceType") != "Bundle":
        raise Invalid("POST to the base takes a Bundle of type batch or transaction.", "resourceType")
    if not isinstance(parsed.get("entry", []), list):
        raise Structure("Bundle.entry must be an array.", "Bundle.entry")
    if len(parsed.get("entry", [])) > MOST_ENTRIES:
        raise TooManyEntries(f"At most {MOST_ENTRIES} entries are taken. Send several Bundles.", "Bundle.entry")
    try:
        raw = msgspec.json.decode(body, type=_RawBundle).entry
    except msgspec.ValidationError as error:
        raise Structure("Every Bundle.entry must be an object.", "Bundle.entry") from error
    whole = zip(parsed.get("entry", []), raw, strict=True)
    return str(parsed.get("type", "")), [_entry(number, *pair) for number, pair in enumerate(whole)]


class TooManyEntries(TooLarge):
    """A Bundle with more entries than are taken at once (row 93)."""

    code = "too-costly"


def _entry(number: int, parsed: Mapping[str, Any], raw: _RawEntry) -> Entry:
    resource = parsed.get("resource") or {}
    kind = resource.get("resourceType", "") if isinstance(resource, dict) else ""
    return Entry(number, str(parsed.get("fullUrl") or ""), parsed.get("request"), bytes(raw.resource), str(kind))  # type: ignore[arg-type]


def as_request(outer: Request, entry: Entry) -> Request:
    """The entry as a Request; 400 naming the entry if it is none (row 91)."""
    asked = entry.request
    if not isinstance(asked, dict) or not isinstance(asked.get("method"), str) or not isinstance(asked.get("url"), str):
        raise RequiredMissing("The entry needs request.method and request.url.", f"{entry.where}.request")
    if asked["method"] not in _VERBS:
        raise CodeInvalid(f"request.method must be one of {', '.join(_VERBS)}.", f"{entry.where}.request.method")
    path, _, query = asked["url"].removeprefix(outer.base).partition("?")
    steps = tuple(decoding.text(step) for step in path.split("/") if step)
    if not steps and asked["method"] == "POST":
        raise NotSupported("A Bundle cannot hold another Bundle of requests.", f"{entry.where}.request.url")
    headers = {name: str(asked[key]) for key, name in _CONDITIONS.items() if asked.get(key) is not None}
    headers |= {"prefer": outer.header("prefer"), "content-type": "application/fhir+json"}
    return Request(
        asked["method"], steps, decoding.pairs(query), headers, entry.body, outer.base, dispatch=outer.dispatch
    )


def batch(context: Context, request: Request, entries: Sequence[Entry]) -> Response:
    """Each entry's answer in the order of the entries; a failure stays with its entry (B-58)."""
    answers = [_answer_alone(context, request, entry) for entry in entries]
    return Response(200, bundles.bundle("batch-response", [], answers))


def _answer_alone(context: Context, request: Request, entry: Entry) -> bytes:
    try:
        response = _dispatch(context.again(), as_request(request, entry))
    except Exception as error:  # noqa: BLE001 - every failure becomes this entry's answer
        failure = known(error, context.request_id)
        within = [issue.within(f"{entry.where}.resource") if issue.expression else issue for issue in failure.issues]
        return bundles.answer({"status": str(failure.status), "outcome": outcome(within)})
    return _entry_answer(request, response)


def transaction(context: Context, request: Request, entries: Sequence[Entry]) -> Response:
    """All entries' answers, or one failure that names its entry and nothing stored (B-59)."""
    asked = [(entry, as_request(request, entry)) for entry in entries]
    _refuse_doubles(asked)
    answers = context.transact(lambda open_: _process(open_, request, asked))
    return Response(200, bundles.bundle("transaction-response", [], answers))


def _refuse_doubles(asked: Sequence[tuple[Entry, Request]]) -> None:
    """Two entries for one resource, or with one fullUrl, are refused (row 92)."""
    seen: set[str] = set()
    for entry, request in asked:
        target = f"{request.type}/{request.id}" if request.id and request.method not in {"GET", "HEAD"} else ""
        for name in filter(None, (entry.full_url, target)):
            key = name if name == entry.full_url else f"target:{name}"
            if key in seen:
                raise Duplicate(f"{entry.where} has the same identity as an entry before it.", entry.where)
            seen.add(key)


def _process(open_: Transaction, outer: Request, asked: Sequence[tuple[Entry, Request]]) -> list[bytes]:
    links = linking.assign(open_, [(entry.full_url, request, entry.type) for entry, request in asked])
    answers: dict[int, bytes] = {}
    for entry, request in sorted(asked, key=lambda pair: _rank(*pair)):
        try:
            linked = linking.link(open_, request, entry.full_url, links)
            answers[entry.number] = _entry_answer(outer, _dispatch(open_.context, linked))
        except FHIRError as error:
            raise _named(entry, error) from error
    return [answers[entry.number] for entry, _ in asked]


def _rank(entry: Entry, request: Request) -> tuple[int, bool, int]:
    """The order of processing; what refers by criteria comes after what it may refer to."""
    return _ORDER[request.method], linking.has_criteria(entry.body), entry.number


def _named(entry: Entry, error: FHIRError) -> FHIRError:
    """The same failure, naming the entry; nothing of the transaction was stored."""
    error.issues = tuple(
        replace(issue.within(f"{entry.where}.resource"), diagnostics=f"{entry.where}: {issue.diagnostics}")
        for issue in error.issues
    )
    return error


def _dispatch(context: Context, request: Request) -> Response:
    if request.dispatch is None:
        raise TooCostly("Bundles of requests cannot be nested.")
    return request.dispatch(context, request)


def _entry_answer(outer: Request, response: Response) -> bytes:
    answer: dict[str, object] = {"status": str(response.status)}
    for header, name in (("Location", "location"), ("ETag", "etag")):
        if header in response.headers:
            answer[name] = response.headers[header]
    if "Last-Modified" in response.headers:
        answer["lastModified"] = linking.instant_of(response.headers["Last-Modified"])
    body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    if body.startswith(b'{"resourceType":"OperationOutcome"'):
        answer["outcome"] = orjson.loads(body)
        body = b""
    return bundles.answer(answer, body)
