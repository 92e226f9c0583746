"""Answers that were kept, as they may be shown now: access may have ended since they were given (L9, L13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson

from fhir_server.engine.context import Context
from fhir_server.engine.idempotency import Answer
from fhir_server.engine.shown_again import identity, shown_again
from fhir_server.fhir import bundles
from fhir_server.fhir.errors import Unseen
from fhir_server.rest.message import Request

Place = tuple[str, str, int | None]

_OUTCOME = b'{"resourceType":"OperationOutcome"'
_PLACES = ("location", "etag", "lastModified")


class _Entry(msgspec.Struct):
    response: dict[str, Any]
    resource: msgspec.Raw = msgspec.Raw(b"")


class _Bundle(msgspec.Struct):
    type: str
    entry: list[_Entry] = msgspec.field(default_factory=list)


def replayed(context: Context, request: Request, known: Answer) -> bytes:
    """The body of a kept answer; Unseen if what it tells of is hidden now, as any read of it would be."""
    if not request.path:
        return _bundle(context, request.base, known.body)
    if known.body.startswith(_OUTCOME):
        return known.body
    place = _place(request.base, known.headers.get("Location", ""), known.body)
    if place:
        return _required(context, place) if known.body else _required(context, place)[:0]
    if request.id and known.body:
        _required(context, (request.type, request.id, None))
    return known.body


def _required(context: Context, place: Place) -> bytes:
    found = shown_again(context, *place)
    if found is None:
        raise Unseen("There is no such resource.")
    return found


def _bundle(context: Context, base: str, body: bytes) -> bytes:
    """A transaction-response whose entries tell nothing of what is hidden now."""
    kept = msgspec.json.decode(body, type=_Bundle)
    return bundles.bundle(kept.type, [], [_entry(context, base, entry) for entry in kept.entry])


def _entry(context: Context, base: str, entry: _Entry) -> bytes:
    body = bytes(entry.resource)
    place = _place(base, str(entry.response.get("location", "")), body)
    if place is None:
        return bundles.answer(entry.response, body)
    found = shown_again(context, *place)
    if found is None:
        return bundles.answer({name: told for name, told in entry.response.items() if name not in _PLACES})
    return bundles.answer(entry.response, found if body else b"")


def _place(base: str, location: str, body: bytes) -> Place | None:
    """What an answer tells of: by its Location, else by the resource in it; None if that is no stored one."""
    steps = location.removeprefix(f"{base}/").split("/")
    if len(steps) == 4:  # noqa: PLR2004 - Type/id/_history/version
        return steps[0], steps[1], int(steps[3])
    return identity(orjson.loads(body)) if body else None


def hidden(context: Context, bundle: Mapping[str, Any]) -> bool:
    """Whether a Bundle of answers holds a stored resource that the caller is not shown any more."""
    return any(_is_hidden(context, resource) for resource in _resources(bundle))


def _resources(bundle: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The resources in a Bundle and in the Bundles in it."""
    found: list[Mapping[str, Any]] = []
    for entry in bundle.get("entry", ()):
        resource = entry.get("resource")
        if isinstance(resource, dict):
            found += _resources(resource) if resource.get("resourceType") == "Bundle" else [resource]
    return found


def _is_hidden(context: Context, resource: Mapping[str, Any]) -> bool:
    place = identity(resource)
    if place is None:
        return False
    if not any(context.caller.scopes.allows(letter, place[0]) for letter in "crus"):
        return True
    now = shown_again(context, *place)
    return now is None or not _is_within(resource, orjson.loads(now or b"{}"))


def _is_within(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether all that was shown is shown still: a contact view has fewer elements, a roster fewer members."""
    members = {_member(one) for one in before.get("member", ()) if isinstance(one, dict)}
    left = {_member(one) for one in now.get("member", ()) if isinstance(one, dict)}
    return not now or (before.keys() <= now.keys() and members <= left)


def _member(one: Mapping[str, Any]) -> str:
    entity = one.get("entity")
    return str(entity.get("reference", "")) if isinstance(entity, dict) else ""
