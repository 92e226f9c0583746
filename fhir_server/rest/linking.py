"""References between the entries of a transaction: fullUrls to new ids, criteria to the one match (B-60)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from fhir_server.engine.context import Transaction
from fhir_server.engine.references import expression, references
from fhir_server.fhir import wire
from fhir_server.fhir.elements import ElementTable
from fhir_server.fhir.errors import Duplicate, FHIRError, Issue, PreconditionFailed, Unprocessable
from fhir_server.rest.bundle_entries import Entry, named
from fhir_server.rest.conditional import one_match
from fhir_server.rest.decoding import pairs
from fhir_server.rest.message import Request
from fhir_server.store.hashing import rh
from fhir_server.store.ids import part_of

Path = tuple[str | int, ...]

_IN_NARRATIVE = re.compile(r"""(\s(?:href|src)\s*=\s*)(["'])(.*?)\2""", re.DOTALL)
_ABSOLUTE = re.compile(r"(https?://.+/)[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}")
_CRITERIA = re.compile(r"([A-Z][A-Za-z]+)\?(.+)")
_REFERENCE = re.compile(rb'("reference"\s*:\s*")(urn:(?:uuid|oid):[0-9A-Za-z.\-]+)"')
_HAS_CRITERIA = re.compile(rb'"reference"\s*:\s*"[A-Z][A-Za-z]+\?')
# Not canonical ones, says http.html#trules; nor oid and uuid: Type/id would be neither, and the entry be refused.
_URIS = {"uri", "url", "Reference.reference"}
_NARRATIVE = "xhtml"
_VERSION = "/_history/"
_NOT_LINKED = {"Bundle"}  # a Bundle to be stored has links of its own


class Unresolved(PreconditionFailed):
    """The criteria of a reference match nothing, perhaps because what they mean is still to come."""


@dataclass
class Links:
    """targets: fullUrl -> Type/id. created: what each creating entry is or finds; ids: the id it is to take."""

    targets: dict[str, str] = field(default_factory=dict)
    created: dict[int, str] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)
    criteria: dict[tuple[str, str], str] = field(default_factory=dict)
    part: int | None = None  # new resources of one Bundle stay together

    @cached_property
    def renamed(self) -> bool:
        """Whether some fullUrl other than a urn stands for another id; asked once all entries have theirs."""
        return any(not url.startswith("urn:") for url in self.targets)

    @cached_property
    def schemes(self) -> set[bytes]:
        """How the urns among the fullUrls begin: urn:uuid: as a rule."""
        return {":".join([*url.split(":", 2)[:2], ""]).encode() for url in self.targets if url.startswith("urn:")}


def assign(open_: Transaction, asked: Sequence[tuple[Entry, Request]]) -> Links:
    """Ids for all entries that create, before any is stored; a failure names its entry."""
    links = Links()
    changed: set[str] = set()
    for entry, request in asked:
        try:
            target = _target(open_, entry, request, links)
        except FHIRError as error:
            raise named(entry, error) from error
        if request.method in {"PUT", "PATCH", "DELETE"}:
            address = target or _address(request)
            if address in changed:
                raise Duplicate(f"{entry.where} changes the same resource as another entry.", entry.where)
            changed.add(address)
        if target and entry.full_url:
            links.targets[entry.full_url] = target
        if target:
            open_.promised.add(rh(target))
    return links


def _address(request: Request) -> str:
    """What an entry without a target of its own changes: an id, or whatever its criteria match."""
    return "/".join(request.path[:2]) if request.id else f"{request.type}?{sorted(request.parameters)}"


def _target(open_: Transaction, entry: Entry, request: Request, links: Links) -> str:
    if request.method == "POST" and request.type and len(request.path) == 1:
        links.created[entry.number] = target = f"{request.type}/{_created(open_, entry, request, links)}"
        return target
    if request.method == "PUT" and request.type:
        fid = request.id or _updated(open_, entry, request, links)
        return f"{request.type}/{fid}"
    return ""


def _created(open_: Transaction, entry: Entry, request: Request, links: Links) -> str:
    criteria = request.header("if-none-exist")
    key = (request.type, criteria)
    if criteria and key in links.criteria:
        return links.criteria[key]
    found = one_match(open_.context, request.type, criteria) if criteria.strip() else None
    fid = found.fid if found else _new_id(open_, entry, links)
    links.criteria[key] = fid
    return fid


def _updated(open_: Transaction, entry: Entry, request: Request, links: Links) -> str:
    found = one_match(open_.context, request.type, request.parameters) if request.parameters else None
    if found:
        return found.fid
    given = entry.resource.get("id") if entry.resource else None
    return given if isinstance(given, str) else _new_id(open_, entry, links)


def _new_id(open_: Transaction, entry: Entry, links: Links) -> str:
    links.ids[entry.number] = fid = open_.context.engine.ids.fid(links.part)
    links.part = part_of(fid) if links.part is None else links.part
    return fid


def has_criteria(body: bytes) -> bool:
    """Whether a body seems to refer to something by search criteria."""
    return _HAS_CRITERIA.search(body) is not None


def link(open_: Transaction, entry: Entry, request: Request, links: Links) -> Request:
    """The request with its new id and its references resolved; 422 for a urn of no entry (row 94), else Unresolved."""
    assigned = links.ids.get(entry.number, "")
    body, resource = request.body, request.resource
    if request.method != "PATCH" and entry.resource is not None and entry.type not in _NOT_LINKED:
        body, resource = _linked(open_, entry, body, links)
    return replace(request, assigned_id=assigned, body=body, resource=resource)


def _linked(open_: Transaction, entry: Entry, body: bytes, links: Links) -> tuple[bytes, Any]:
    has_urn, by_criteria = b"urn:" in body, has_criteria(body)
    if not (has_urn or links.renamed or by_criteria):
        return body, entry.resource
    if not (links.renamed or by_criteria) and (quick := _replaced(body, links)):
        return quick, entry.resource if quick == body else wire.parse(quick)
    edits = _edits(open_, entry, links)
    resource: Any = entry.resource
    for path, value in edits.items():
        resource = _with(resource, path, value)
    return wire.edit(body, edits), resource


def _replaced(body: bytes, links: Links) -> bytes:
    """The body with its urns resolved, if they stand in references alone and all are known; else b""."""
    found = [urn for _, urn in _REFERENCE.findall(body)]
    names = {urn: links.targets.get(urn.decode(), "").encode() for urn in found}
    elsewhere = any(body.count(scheme) != sum(urn.startswith(scheme) for urn in found) for scheme in links.schemes)
    if elsewhere or b"\\u" in body or not all(names.values()):
        return b""
    return _REFERENCE.sub(lambda one: b'%s%s"' % (one[1], names[one[2]]), body)


def _edits(open_: Transaction, entry: Entry, links: Links) -> dict[Path, Any]:
    edits: dict[Path, Any] = dict(_pointers(open_.context.engine.definitions.elements, entry, links))
    return edits | {path: _resolved(open_, entry, path, text, links) for path, text in _criteria(entry.resource or {})}


def _with(node: Any, path: Path, value: Any) -> Any:
    """The tree with another value at a path; what does not lie on the path is shared with the tree it was."""
    if not path:
        return value
    copy = node.copy()
    copy[path[0]] = _with(node[path[0]], path[1:], value)
    return copy


def _pointers(elements: ElementTable, entry: Entry, links: Links) -> Iterator[tuple[Path, str]]:
    own = _ABSOLUTE.fullmatch(entry.full_url)
    base = own[1] if own else ""
    for path, text, kind in _texts(elements, entry.resource, entry.type, ()):
        found = _narrative(text, links, base) if kind == _NARRATIVE else _renamed(text, links, base)
        if found and found != text:
            yield path, found
        elif not found and path[-1] == "reference" and text.startswith("urn:"):
            message = f"{text[:64]} is the fullUrl of no entry. Add that entry, or correct the reference."
            raise Unprocessable(issues=[Issue("not-found", message, expression(entry.type, path))])


def _renamed(text: str, links: Links, base: str) -> str:
    """What a link stands for: a fullUrl in full, or below the base of the entry's own; "" for no entry.

    A link to a version of what is created leads to its first one: there is no other yet.
    """
    url, version, _ = text.partition(_VERSION)
    found = links.targets.get(url) or (links.targets.get(base + url, "") if base else "")
    if not version or not found:
        return found
    return f"{found}{_VERSION}1" if found.partition("/")[2] in links.ids.values() else ""


def _narrative(div: str, links: Links, base: str) -> str:
    """The narrative with the links of its `a` and `img` renamed."""
    return _IN_NARRATIVE.sub(lambda one: f"{one[1]}{one[2]}{_renamed(one[3], links, base) or one[3]}{one[2]}", div)


def _texts(elements: ElementTable, node: Any, kind: str, path: Path) -> Iterator[tuple[Path, str, str]]:
    """Every uri, url and reference in a resource, and every narrative, with the kind of each."""
    if isinstance(node, str):
        if kind in _URIS or kind == _NARRATIVE:
            yield path, node, kind
    elif isinstance(node, list):
        for number, child in enumerate(node):
            yield from _texts(elements, child, kind, (*path, number))
    elif isinstance(node, dict):
        kind = str(node.get("resourceType", kind))
        members = elements.members(kind) if kind in elements else {}
        for name, child in node.items():
            if name in members:
                inner = f"{kind}.{name}" if (kind, name) == ("Reference", "reference") else members[name][1]
                yield from _texts(elements, child, inner, (*path, name))


def _criteria(resource: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for path, node in references(resource):
        if _CRITERIA.fullmatch(node["reference"]):
            yield (*path, "reference"), node["reference"]


def _resolved(open_: Transaction, entry: Entry, path: Path, text: str, links: Links) -> str:
    if text not in links.found:
        target, criteria = text.split("?", 1)
        at = expression(entry.type, path)
        try:
            found = one_match(open_.context, target, pairs(criteria))
        except FHIRError as error:
            error.issues = tuple(replace(issue, expression=at) for issue in error.issues)
            raise
        if found is None:
            raise Unresolved(f"No {target} that you may see matches the criteria of this reference.", at)
        links.found[text] = f"{target}/{found.fid}"
    return links.found[text]
