"""The references inside a resource: where they are, where they point, and whether the caller may point there."""

from collections.abc import Collection, Mapping
from functools import reduce
from operator import or_
from typing import Any

from fhir_server.engine.changes import Change
from fhir_server.engine.context import Context, Transaction
from fhir_server.engine.labelling import INHERITING
from fhir_server.fhir import contents
from fhir_server.fhir.errors import Issue, Unprocessable
from fhir_server.store import resources
from fhir_server.store.hashing import rh

Path = tuple[str | int, ...]
_Trail = tuple["_Trail", str | int] | None


def references(resource: Mapping[str, Any]) -> list[tuple[Path, Mapping[str, Any]]]:
    """Every Reference in a resource with its path, contained resources included."""
    found: list[tuple[Path, Mapping[str, Any]]] = []
    _gather(resource, None, found)
    return found


def _gather(node: Mapping[str, Any], trail: _Trail, found: list[tuple[Path, Mapping[str, Any]]]) -> None:
    """Add what stands in and below an object; the way there is kept as links and written out where it is wanted."""
    if type(node.get("reference")) is str:
        found.append((_path(trail), node))
    for name, child in node.items():
        kind = type(child)
        if kind is dict:
            _gather(child, (trail, name), found)
        elif kind is list:
            _gather_items(child, (trail, name), found)


def _gather_items(items: list[Any], trail: _Trail, found: list[tuple[Path, Mapping[str, Any]]]) -> None:
    for number, item in enumerate(items):
        if type(item) is dict:
            _gather(item, (trail, number), found)


def _path(trail: _Trail) -> Path:
    steps: list[str | int] = []
    while trail is not None:
        trail, step = trail
        steps.append(step)
    return tuple(reversed(steps))


def local(reference: str) -> str | None:
    """Type/id of a relative reference, without its version; None for contained, absolute and urn ones."""
    if ":" in reference or "?" in reference or reference.startswith("#"):
        return None
    return reference if reference.count("/") == 1 else "/".join(reference.split("/")[:2])


def indexed(context: Context, type_: str, code: str, resource: Mapping[str, Any]) -> set[int]:
    """The hashes of what a resource refers to by a search parameter, as searches find it."""
    number = context.engine.params.get((type_, code))
    return {target for param, target in context.engine.extractor.rows(type_, resource).ref if param == number}


def expression(type_: str, path: Path) -> str:
    """The FHIRPath of an element: Task.input[0].valueReference."""
    return type_ + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def require_targets(transaction: Transaction, what: Change, resource: Mapping[str, Any]) -> int:
    """The labels of what relative references name, for types that inherit them; 0 for the others.

    Unprocessable (422 not-found) for a new reference to what is absent or hidden: one answer for both (L12). References
    that stood there before stay, even if this writer cannot see their target.
    """
    named = _named(resource)
    wanted = {one for one in named.values() if not _is_known(transaction, one)}
    wanted.discard(what.row.rh)
    if wanted and what.old:
        wanted -= set(_named(what.old).values())
    if wanted:
        rows = resources.by_hash(transaction.connection, transaction.context.visible_targets(), wanted)
        transaction.seen |= {row.rh: row.labels for row in rows}
        missing = [target for target, one in named.items() if one in wanted and one not in transaction.seen]
        if missing:
            raise Unprocessable(issues=_missing(what.type, resource, missing))
    if what.type not in INHERITING:
        return 0
    seen, written = transaction.seen, transaction.written
    return reduce(or_, (seen.get(one, 0) | written.get(one, 0) for one in named.values()), 0)


def _named(resource: Mapping[str, Any]) -> dict[str, int]:
    """Type/id -> hash of every relative reference in a resource."""
    texts = contents.reference_texts(contents.compact(resource))
    return {target: rh(target) for text in texts if (target := local(text))}


def _is_known(transaction: Transaction, target: int) -> bool:
    return target in transaction.written or target in transaction.seen or target in transaction.promised


def _missing(type_: str, resource: Mapping[str, Any], targets: Collection[str]) -> list[Issue]:
    """One issue for each of these targets, at the last place that names it; at most 50."""
    places = {target: path for path, node in references(resource) if (target := local(node["reference"])) in targets}
    return [_absent(type_, target, path) for target, path in list(places.items())[:50] if target]


def _absent(type_: str, target: str, path: Path) -> Issue:
    message = f"{target[:64]} does not exist or is not visible to you. Create it first, or correct the reference."
    return Issue("not-found", message, expression(type_, (*path, "reference")))
