"""The answers of a batch when they are fetched: what was done stays told, what was read is looked at once more (L9).

Access may have ended since a job answered. One stored resource, and what a write tells, are shown if they may be shown
still; a search or an operation that only reads is asked again, because a total or a finding cannot be looked at.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import orjson

from fhir_server.engine.context import Context
from fhir_server.engine.shown_again import identity, shown_again
from fhir_server.fhir import bundles
from fhir_server.fhir.errors import FHIRError, Gone
from fhir_server.rest.batches import answers
from fhir_server.rest.bundle_entries import Entry, as_request, read_bundle
from fhir_server.rest.message import Request
from fhir_server.rest.replaying import hidden

_REFERENCE: Final = re.compile(r"\b([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})")


class _Kept(msgspec.Struct):
    entry: list[msgspec.Raw] = msgspec.field(default_factory=list)


def as_shown(context: Context, outer: Request, asked: bytes, kept: bytes) -> bytes:
    """The batch-response that the caller may see now; Gone (410) if it may not see what an answer tells of."""
    _, entries = read_bundle(asked, context.engine.settings.max_bundle_bytes)
    told = msgspec.json.decode(kept, type=_Kept).entry
    shown = [_shown(context, outer, entry, bytes(raw)) for entry, raw in zip(entries, told, strict=True)]
    return bundles.bundle("batch-response", [], shown)


def _shown(context: Context, outer: Request, entry: Entry, kept: bytes) -> bytes:
    answer = orjson.loads(kept)
    resource = answer.get("resource", {})
    request = _request(outer, entry)
    if request is None:
        return kept
    if identity(resource) is None and _only_reads(context, request):
        return answers(context, outer, [entry])[0]
    if hidden(context, {"entry": [answer]}) or _tells_of_hidden(context, request, answer):
        raise Gone("Something in this file may not be shown any more. Send the batch again.")
    return kept


def _request(outer: Request, entry: Entry) -> Request | None:
    """The request of an entry; None if it was none, and its answer says no more than that."""
    try:
        return as_request(outer, entry)
    except FHIRError:
        return None


def _only_reads(context: Context, request: Request) -> bool:
    last = request.path[-1] if request.path else ""
    if request.method != "POST":
        return request.method in {"GET", "HEAD"}
    if not last.startswith("$"):
        return last == "_search"
    engine = context.engine
    definitions = [engine.definitions.resource(one.definition) for one in engine.operations if one.name == last[1:]]
    return all(found is not None and not found.get("affectsState", True) for found in definitions)


def _tells_of_hidden(context: Context, request: Request, answer: dict[str, Any]) -> bool:
    """Whether a write's answer without a resource of its own names what is hidden now, in its words or its place.

    What the client named itself tells it nothing, such as the missing target of a reference.
    """
    if identity(answer.get("resource", {})):
        return False
    words = orjson.dumps([answer.get("resource"), answer["response"].get("outcome")]).decode()
    asked: set[tuple[str, str]] = {
        *_REFERENCE.findall(request.body.decode(errors="replace")),
        (request.type, request.id),
    }
    named: set[tuple[str, str]] = {*_REFERENCE.findall(words)} - asked
    if request.id and answer["response"]["status"].startswith("2"):
        named.add((request.type, request.id))
    known = context.engine.definitions.types
    return any(shown_again(context, type_, fid, None) is None for type_, fid in sorted(named) if type_ in known)
