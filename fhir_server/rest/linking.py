"""References between the entries of a transaction: urn:uuid to new ids, criteria to the one resource they match (B-60)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from fhir_server.engine.references import expression, references
from fhir_server.engine.transaction import Transaction
from fhir_server.fhir import wire
from fhir_server.fhir.errors import Issue, PreconditionFailed, Unprocessable
from fhir_server.fhir.values import instant
from fhir_server.rest.conditional import one_match
from fhir_server.rest.decoding import pairs
from fhir_server.rest.message import Request
from fhir_server.store.ids import part_of

_URN = re.compile(r"urn:(?:uuid|oid):[0-9A-Za-z.\-]+")
_CRITERIA = re.compile(r"([A-Z][A-Za-z]+)\?(.+)")
_POINTERS = {"uri", "url", "oid", "canonical", "valueUri", "valueUrl", "valueOid", "valueCanonical"}


@dataclass
class Links:
    """fullUrl -> Type/id, and the id that each creating entry will get."""

    targets: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)


def assign(open_: Transaction, entries: Sequence[tuple[str, Request, str]]) -> Links:
    """Ids for all entries that create, before any is stored; those of one Bundle share a partition."""
    links = Links()
    part: int | None = None
    for full_url, request, type_ in entries:
        if request.method == "POST" and request.type and not request.id:
            existing = _existing(open_, request)
            fid = existing or open_.context.engine.ids.fid(part)
            part = part_of(fid) if part is None else part
            links.ids[full_url] = "" if existing else fid
            links.targets[full_url] = f"{type_ or request.type}/{fid}"
        elif request.method == "PUT" and request.type:
            fid = request.id or _criteria_match(open_, request)
            if fid:
                links.targets[full_url] = f"{request.type}/{fid}"
    return links


def _existing(open_: Transaction, request: Request) -> str | None:
    criteria = request.header("if-none-exist")
    if not criteria:
        return None
    found = one_match(open_.context, request.type, criteria)
    return found.fid if found else None


def _criteria_match(open_: Transaction, request: Request) -> str | None:
    found = one_match(open_.context, request.type, request.parameters) if request.parameters else None
    return found.fid if found else None


def link(open_: Transaction, request: Request, full_url: str, links: Links) -> Request:
    """The request with its references resolved and its new id; 422 for what resolves to nothing (row 94)."""
    request = replace(request, assigned_id=links.ids.get(full_url, ""))
    if not request.body or not (b"urn:" in request.body or has_criteria(request.body)):
        return request
    resource = orjson.loads(request.body)
    edits = dict(_pointers(resource, links, request.type))
    edits |= {path: _resolved(open_, request.type, path, text, links) for path, text in _criteria(resource)}
    narrative = resource.get("text", {}).get("div", "") if isinstance(resource.get("text"), dict) else ""
    if isinstance(narrative, str) and "urn:" in narrative:
        edits["text", "div"] = _URN.sub(lambda found: links.targets.get(found[0], found[0]), narrative)
    return replace(request, body=wire.edit(request.body, edits))


def has_criteria(body: bytes) -> bool:
    """Whether a body seems to refer to something by search criteria."""
    return re.search(rb'"reference"\s*:\s*"[A-Z][A-Za-z]+\?', body) is not None


def _pointers(resource: Any, links: Links, type_: str) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for path, text in _texts(resource):
        if not text.startswith("urn:"):
            continue
        if text in links.targets:
            if path[-1] == "reference" or path[-1] in _POINTERS:
                yield path, links.targets[text]
        elif path[-1] == "reference":
            message = f"{text[:64]} is the fullUrl of no entry. Add that entry, or correct the reference."
            raise Unprocessable(issues=[Issue("not-found", message, expression(type_, path))])


def _texts(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, dict):
        for name, child in node.items():
            yield from _texts(child, (*path, name))
    elif isinstance(node, list):
        for number, child in enumerate(node):
            yield from _texts(child, (*path, number))


def _criteria(resource: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for path, node in references(resource):
        if _CRITERIA.fullmatch(node["reference"]):
            yield (*path, "reference"), node["reference"]


def _resolved(open_: Transaction, type_: str, path: tuple[str | int, ...], text: str, links: Links) -> str:
    if text not in links.found:
        target, criteria = text.split("?", 1)
        open_.flush()
        found = one_match(open_.context, target, pairs(criteria))
        if found is None:
            message = f"No {target} that you may see matches the criteria of this reference."
            raise PreconditionFailed(message, expression(type_, path))
        links.found[text] = f"{target}/{found.fid}"
    return links.found[text]


def instant_of(http_date: str) -> str:
    """An HTTP date as a FHIR instant."""
    return instant(int(parsedate_to_datetime(http_date).timestamp() * 1000))
