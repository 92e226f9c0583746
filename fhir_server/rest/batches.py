"""Bundles of requests: a batch answers each entry by itself, a transaction stores all or nothing.

A transaction is processed DELETE, POST, PUT and PATCH, GET, whatever the order of its entries; `urn:uuid` references
become the new ids, and conditional references are resolved against stored data and the other entries (B-58 to B-61).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

import orjson

from fhir_server.engine import repository
from fhir_server.engine.context import Context, Transaction
from fhir_server.engine.labelling import INHERITING
from fhir_server.fhir import bundles
from fhir_server.fhir.errors import Duplicate, FHIRError, NotSupported, TimedOut, Unseen
from fhir_server.fhir.outcome import outcome
from fhir_server.fhir.values import instant
from fhir_server.rest import linking
from fhir_server.rest.bundle_entries import Entry, as_request, named
from fhir_server.rest.failures import known
from fhir_server.rest.message import Request, Response
from fhir_server.rest.negotiation import FHIR_JSON
from fhir_server.rest.once import HEADER, derived, once

Asked = tuple[Entry, Request]
Late = tuple[Asked, FHIRError]  # an entry that waits, and what it lacks

_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 4, "HEAD": 4}
_REFERRING = 3  # what refers by criteria comes after all that may be meant
_READING = {"GET", "HEAD"}
_FOREVER = 2**62
_TOO_LONG = "The batch took too long, so this entry was left undone. Send what is left in a batch of its own."
_RESOURCES = ("application/fhir+json", "application/json")


def batch(context: Context, request: Request, entries: Sequence[Entry]) -> Response:
    """Each entry's answer in the order of the entries; a failure stays with its entry (B-58).

    What is not begun within the longest time of a transaction is 503: a batch must not hold its place for hours (P15).
    """
    until = context.now + context.engine.settings.transaction_seconds * 1000
    return Response(200, bundles.bundle("batch-response", [], answers(context, request, entries, until)))


def answers(context: Context, request: Request, entries: Sequence[Entry], until: int = _FOREVER) -> list[bytes]:
    """One Bundle.entry for each entry, answered for itself; kept under a key of its own if the request has one.

    Entries that are not begun by `until` (milliseconds) are refused.
    """
    key = derived(request) if HEADER in request.headers else ""
    return [_answer_in_time(context.again(), request, entry, key, until) for entry in entries]


def _answer_in_time(context: Context, outer: Request, entry: Entry, key: str, until: int) -> bytes:
    if context.now > until:
        return _failed(context, entry, named(entry, TimedOut(_TOO_LONG)))
    return _answer_alone(context, outer, entry, key)


def _answer_alone(context: Context, outer: Request, entry: Entry, key: str) -> bytes:
    try:
        request = as_request(outer, entry)
        if key:
            request = replace(request, headers={**request.headers, HEADER: f"{key}#{entry.number}"})
    except FHIRError as error:
        return _failed(context, entry, error)
    try:
        return _entry_answer(request, _dispatch(context, request))
    except Exception as error:  # noqa: BLE001 - every failure becomes this entry's answer
        return _failed(context, entry, named(entry, known(error, context.request_id)))


def _failed(context: Context, entry: Entry, failure: FHIRError) -> bytes:
    if not isinstance(failure, Unseen):
        repository.note(context, str(entry.request["method"]), failure.status, str(entry.request["url"]))
    return bundles.answer({"status": str(failure.status), "outcome": outcome(failure.issues)})


def transaction(context: Context, request: Request, entries: Sequence[Entry]) -> Response:
    """All entries' answers, or one failure that names its entry and nothing stored (B-59)."""
    asked = [(entry, as_request(request, entry)) for entry in entries]
    _refuse_doubles(asked)

    def work(context: Context, _request: Request) -> Response:
        made = context.transact(lambda open_: _process(open_, asked))
        return Response(200, bundles.bundle("transaction-response", [], made))

    if HEADER not in request.headers:
        return work(context, request)
    if any(one.method in _READING for _, one in asked):
        raise NotSupported("What is read is not kept under an Idempotency-Key. Read in a request of its own.")
    return once(context, request, work)


def _refuse_doubles(asked: Sequence[Asked]) -> None:
    """Two entries for one resource, or with one fullUrl, are refused (row 92)."""
    seen: set[tuple[str, str]] = set()
    for entry, request in asked:
        target = f"{request.type}/{request.id}" if request.id and request.method not in _READING else ""
        for key in (("fullUrl", entry.full_url), ("target", target)):
            if key[1] and key in seen:
                raise _double(entry)
            seen.add(key)


def _double(entry: Entry) -> Duplicate:
    return Duplicate(f"{entry.where} has the same identity as another entry.", entry.where)


def _process(open_: Transaction, asked: Sequence[Asked]) -> list[bytes]:
    links = linking.assign(open_, asked)
    made: dict[int, bytes] = {}
    late: list[Late] = []
    for number, phase in groupby(sorted(asked, key=_rank), key=lambda pair: _rank(pair)[0]):
        if number == _ORDER["GET"]:
            _refuse(late)
        late = _process_phase(open_, [*phase, *(pair for pair, _ in late)], links, made)
    _refuse(late)
    return [made[entry.number] for entry, _ in asked]


def _refuse(late: Sequence[Late]) -> None:
    for (entry, _), error in late:
        raise named(entry, error)


def _rank(pair: Asked) -> tuple[int, bool, int]:
    """The phase of an entry and its place in it; what inherits labels comes after what it may inherit from."""
    entry, request = pair
    phase = _ORDER[request.method]
    if 0 < phase < _REFERRING and linking.has_criteria(entry.body):
        phase = _REFERRING
    return phase, entry.type in INHERITING, entry.number


def _process_phase(
    open_: Transaction, phase: Iterable[Asked], links: linking.Links, made: dict[int, bytes]
) -> list[Late]:
    """Answer each entry; one that needs what is not there yet waits for the others, and at last for the next phase."""
    waiting = list(phase)
    while waiting:
        open_.flush()
        later: list[Late] = []
        for entry, request in waiting:
            try:
                made[entry.number] = _answer_within(open_, entry, request, links)
            except linking.Unresolved as error:
                later.append(((entry, request), error))
            except FHIRError as error:
                raise named(entry, error) from error
        if len(later) == len(waiting):
            return later
        waiting = [pair for pair, _ in later]
    return []


def _answer_within(open_: Transaction, entry: Entry, request: Request, links: linking.Links) -> bytes:
    context = open_.context
    if context.engine.clock() - context.now > context.engine.settings.transaction_seconds * 1000:
        raise TimedOut("The transaction took too long and was given up; nothing was stored. Send smaller ones.")
    response = _dispatch(open_.context, linking.link(open_, entry, request, links))
    location, promised = response.headers.get("Location"), links.created.get(entry.number)
    if location and promised and f"/{promised}/_history/" not in location:
        raise _double(entry)  # its criteria match what another entry made or deleted
    return _entry_answer(request, response)


def _dispatch(context: Context, request: Request) -> Response:
    if request.dispatch is None:
        raise NotSupported("Bundles of requests cannot be nested.")
    return request.dispatch(context, request)


def _entry_answer(request: Request, response: Response) -> bytes:
    if not response.headers.get("Content-Type", FHIR_JSON).startswith(_RESOURCES):
        raise NotSupported("This answers a file, which cannot stand in a Bundle. Ask for it in a request of its own.")
    answer: dict[str, object] = {"status": str(response.status)}
    for header, name in (("Location", "location"), ("ETag", "etag")):
        if header in response.headers:
            answer[name] = response.headers[header]
    if response.modified is not None:
        answer["lastModified"] = instant(response.modified)
    body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    if request.method not in _READING and body.startswith(b'{"resourceType":"OperationOutcome"'):
        answer["outcome"] = orjson.loads(body)
        body = b""
    return bundles.answer(answer, b"" if request.method == "HEAD" else body)
