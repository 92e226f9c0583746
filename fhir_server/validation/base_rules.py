"""The invariants of base FHIR that the server enforces on every write.

https://hl7.org/fhir/R4/domainresource.html#invs (dom-2 to dom-5), ref-1, per-1
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.fhir.errors import BadValue, Issue
from fhir_server.fhir.values import parse_date


def period_is_broken(period: Mapping[str, Any]) -> bool:
    """Whether a Period certainly ends before it starts (per-1); partial dates that may overlap are no breach."""
    start, end = period.get("start"), period.get("end")
    if not isinstance(start, str) or not isinstance(end, str):
        return False
    try:
        return parse_date(end)[1] <= parse_date(start)[0]
    except BadValue:
        return False  # the form of the dates is told of elsewhere


def contained_issues(resource: Mapping[str, Any], path: str) -> Iterator[Issue]:
    """Broken dom-2 to dom-5 and ref-1 of one resource that is not itself contained."""
    contained = resource.get("contained")
    inner = [c for c in contained if isinstance(c, dict)] if isinstance(contained, list) else []
    ids = {c["id"] for c in inner if isinstance(c.get("id"), str)}
    uses = dict(_local_uses(resource, path))
    for index, child in enumerate(inner):
        yield from _contained(child, f"{path}.contained[{index}]", uses)
    for text, (where, is_reference) in uses.items():
        if is_reference and text[1:] not in ids and not (text == "#" and inner):
            yield Issue("invariant", f"ref-1: there is no contained resource {text[:64]!r}", where)


def _contained(child: Mapping[str, Any], path: str, uses: Mapping[str, Any]) -> Iterator[Issue]:
    if "contained" in child:
        yield Issue("invariant", "dom-2: a contained resource must not contain others", f"{path}.contained")
    meta = child.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    for name in ("versionId", "lastUpdated"):
        if name in meta:
            yield Issue("invariant", f"dom-4: a contained resource has no {name} of its own", f"{path}.meta.{name}")
    if "security" in meta:
        message = "dom-5: a contained resource has no security label of its own"
        yield Issue("invariant", message, f"{path}.meta.security")
    refers_out = any(text == "#" for text, _ in _strings(child, path))
    if f"#{child.get('id')}" not in uses and not refers_out:
        yield Issue("invariant", "dom-3: nothing refers to this contained resource; refer to it or leave it out", path)


def _local_uses(resource: Mapping[str, Any], path: str) -> Iterator[tuple[str, tuple[str, bool]]]:
    """Text -> (where, whether in Reference.reference) of every string that starts with '#'; references count most."""
    found = [(text, where) for text, where in _strings(resource, path) if text.startswith("#")]
    for text, where in sorted(found, key=lambda use: use[1].endswith(".reference")):
        yield text, (where.removesuffix(".reference"), where.endswith(".reference"))


def _strings(node: Any, path: str) -> Iterator[tuple[str, str]]:
    waiting = [(path, node)]
    while waiting:
        where, current = waiting.pop()
        if isinstance(current, str):
            yield current, where
        elif isinstance(current, dict):
            waiting.extend((f"{where}.{name[:64]}", child) for name, child in current.items())
        elif isinstance(current, list):
            waiting.extend((f"{where}[{index}]", child) for index, child in enumerate(current))
