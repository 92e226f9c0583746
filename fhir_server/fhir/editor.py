"""A literal-preserving editor of JSON bytes: it replaces the spans that change and keeps every other byte.

Whitespace, member order and decimals such as 1.10 stay as the client wrote them.
https://hl7.org/fhir/R4/json.html#decimal
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import msgspec
import orjson

from fhir_server.fhir.values import instant, parse_reference


class _Delete(Enum):
    DELETE = "delete"


DELETE: Final = _Delete.DELETE

Path = tuple[str | int, ...]
Value = Any  # a JSON value, DELETE, or msgspec.Raw for JSON text to be taken literally

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_SPACE, _LEADING = b" \t\r\n", b" \t\r\n,"
_LEAD = re.compile(rb"[ \t\r\n,]*")
_NAME = re.compile(rb'[ \t\r\n,]*"[^"\\]*(?:\\.[^"\\]*)*"[ \t\r\n]*:[ \t\r\n]*')


def stamp(body: bytes, fid: str, version: int, last_updated_ms: int) -> bytes:
    """The resource with this id, meta.versionId and meta.lastUpdated; other members of meta stay as they are.

    An id or meta that was missing goes behind resourceType. KeyError if the body has no resourceType.
    """
    spans = _spans(body, "resourceType", "id", "meta")
    moment = {"versionId": b'"%d"' % version, "lastUpdated": b'"%s"' % instant(last_updated_ms).encode()}
    start, end = spans.get("meta", (0, 0))
    meta = body[start:end] if body[start:end].strip(b"{}" + _SPACE) else b"{}"
    stamped = _put(meta, _spans(meta, *moment), moment, 1)
    return _put(body, spans, {"id": b'"%s"' % fid.encode(), "meta": stamped}, spans["resourceType"][1])


def dump(resource: Mapping[str, Any], fid: str, version: int, last_updated_ms: int) -> bytes:
    """The JSON of a resource that our own code made, stamped as `stamp` would; there are no bytes to keep."""
    meta = {**resource.get("meta", {}), "versionId": str(version), "lastUpdated": instant(last_updated_ms)}
    head = {"resourceType": resource["resourceType"], "id": fid, "meta": meta}
    return orjson.dumps({**head, **resource, **head})


def _spans(body: bytes, *names: str) -> dict[str, tuple[int, int]]:
    """Name -> (start, end) of the value, for those of these members that the object has."""
    members = _OBJECT.decode(body)
    wanted = sum(name in members for name in names)
    at = body.index(b"{") + 1
    spans: dict[str, tuple[int, int]] = {}
    for name, raw in members.items():
        if len(spans) == wanted:
            break
        start = _NAME.match(body, at).end()  # type: ignore[union-attr]
        at = start + len(raw)
        if name in names:
            spans[name] = start, at
    return spans


def _put(body: bytes, spans: Mapping[str, tuple[int, int]], members: Mapping[str, bytes], at: int) -> bytes:
    """The object with these members replaced, the missing ones inserted at `at`: its front or a member's end."""
    missing = b",".join(b'"%s":%s' % (name.encode(), value) for name, value in members.items() if name not in spans)
    edits = [(*spans[name], value) for name, value in members.items() if name in spans]
    if missing and body != b"{}":
        missing = missing + b"," if at == 1 else b"," + missing
    pieces: list[bytes] = []
    kept = 0
    for start, end, value in sorted([*edits, (at, at, missing)]):
        pieces += (body[kept:start], value)
        kept = end
    return b"".join([*pieces, body[kept:]])


@dataclass(frozen=True, slots=True)
class _Leaf:
    value: Value


_Tree = dict[str | int, Any]  # name or index -> _Leaf or _Tree


def edit(body: bytes, changes: Mapping[Path, Value]) -> bytes:
    """The body with each path set to its value or, for DELETE, without it; missing parents are made.

    Indexes count the items of the original; the index one past the last adds an item. LookupError if a path leads
    through a plain value or past the end of an array, or if one path lies within another.
    """
    return _rewritten(body, _tree(changes)) if changes else body


def append_meta(body: bytes, resource: Mapping[str, Any], name: str, values: Sequence[Any]) -> bytes:
    """The body with these values added at the end of meta.<name> (tag, security or profile), unless already there."""
    present = resource.get("meta", {}).get(name, [])
    added = [value for value in values if value not in present]
    return edit(body, {("meta", name, len(present) + index): value for index, value in enumerate(added)})


def strip_displays(body: bytes, resource: Mapping[str, Any], types: Sequence[str]) -> bytes:
    """The body without the `display` of References to these types, because it would disclose a name."""
    if b"isplay" not in body:
        return body
    found: dict[Path, Value] = {}
    _find_displays(resource, frozenset(types), (), found)
    return edit(body, found)


def _find_displays(node: Mapping[str, Any], types: frozenset[str], path: Path, found: dict[Path, Value]) -> None:
    if ("reference" in node or "type" in node) and _refers_to(node, types):
        found.update({(*path, name): DELETE for name in ("display", "_display") if name in node})
    for name, child in node.items():
        if child.__class__ is dict:
            _find_displays(child, types, (*path, name), found)
        elif child.__class__ is list:
            for index, item in enumerate(child):
                if item.__class__ is dict:
                    _find_displays(item, types, (*path, name, index), found)


def _refers_to(node: Mapping[str, Any], types: frozenset[str]) -> bool:
    kind, reference = node.get("type"), node.get("reference")
    if isinstance(kind, str) and kind in types:
        return True
    parts = parse_reference(reference) if isinstance(reference, str) else None
    return parts is not None and parts.type in types


def _tree(changes: Mapping[Path, Value]) -> _Tree | _Leaf:
    root: _Tree = {}
    for path, value in changes.items():
        node = root
        for step in path[:-1]:
            node = node.setdefault(step, {})
            if not isinstance(node, dict):
                raise LookupError(f"one change lies within another: {path!r}")  # noqa: TRY004 - as the docstring says
        if not path:
            return _Leaf(value)
        if path[-1] in node:
            raise LookupError(f"one change lies within another: {path!r}")
        node[path[-1]] = _Leaf(value)
    return root


def _rewritten(raw: bytes, change: _Tree | _Leaf) -> bytes:
    if isinstance(change, _Leaf):
        return _dumped(change.value)
    raw = raw.strip(_SPACE)
    opener = raw[:1]
    if opener == b"{":
        members = _OBJECT.decode(raw)
        return _replaced(raw, members, _NAME, change, _new_members(members, change))
    if opener == b"[":
        items = dict(enumerate(_ARRAY.decode(raw)))
        return _replaced(raw, items, _LEAD, change, _new_items(items, change))
    raise LookupError("a path leads through a plain value")


def _replaced(
    raw: bytes, children: Mapping[Any, msgspec.Raw], before: re.Pattern[bytes], change: _Tree, added: Sequence[bytes]
) -> bytes:
    pending = sum(name in change for name in children)
    at = 1
    pieces: list[bytes] = []
    for name, value in children.items():
        if not pending:
            break
        start = before.match(raw, at).end()  # type: ignore[union-attr]
        end = start + len(value)
        new = change.get(name)
        pending -= new is not None
        if new is None:
            pieces.append(raw[at:end])
        elif not (isinstance(new, _Leaf) and new.value is DELETE):
            pieces.append(raw[at:start] + _rewritten(raw[start:end], new))
        at = end
    last = len(raw[:-1].rstrip(_SPACE))
    kept = _with_first_lead(raw, b"".join(pieces) + raw[at:last])
    separator = [kept] if kept.strip(_SPACE) else []
    return raw[:1] + b",".join([*separator, *added]) + raw[max(at, last) :]


def _with_first_lead(raw: bytes, kept: bytes) -> bytes:
    """What now stands first takes the space of what stood first, instead of a comma."""
    bare = kept.lstrip(_LEADING)
    comma = b"," in kept[: len(kept) - len(bare)]
    return raw[1 : len(raw) - len(raw[1:].lstrip(_SPACE))] + bare if comma else kept


def _new_members(members: Mapping[str, Any], change: _Tree) -> list[bytes]:
    if any(isinstance(name, int) for name in change):
        raise LookupError("an object has members, not items")
    new = ((name, part) for name, part in change.items() if name not in members and not _only_deletes(part))
    return [orjson.dumps(name) + b":" + _built(part) for name, part in new]


def _new_items(items: Mapping[int, Any], change: _Tree) -> list[bytes]:
    added: list[bytes] = []
    for name, part in sorted(change.items(), key=lambda entry: str(entry[0]).zfill(9)):
        if name in items or _only_deletes(part):
            continue
        if name != len(items) + len(added):
            raise LookupError(f"an array of {len(items)} items has no item {name!r}")
        added.append(_built(part))
    return added


def _only_deletes(change: _Tree | _Leaf) -> bool:
    return change.value is DELETE if isinstance(change, _Leaf) else all(map(_only_deletes, change.values()))


def _built(change: _Tree | _Leaf) -> bytes:
    """The JSON of a part that did not exist: an array if its first step is an index."""
    if isinstance(change, _Leaf):
        return _dumped(change.value)
    array = any(isinstance(step, int) for step in change)
    return _rewritten(b"[]" if array else b"{}", change)


def _dumped(value: Value) -> bytes:
    return bytes(value) if isinstance(value, msgspec.Raw) else orjson.dumps(value)
