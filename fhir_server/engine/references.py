"""The references inside a resource: where they are, where they point, and whether the caller may point there."""

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Any

from fhir_server.engine.labelling import INHERITING
from fhir_server.engine.transaction import Change, Transaction
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
    if reference.startswith("#") or ":" in reference or "?" in reference:
        return None
    return "/".join(reference.split("/")[:2])


def expression(type_: str, path: Path) -> str:
    """The FHIRPath of an element: Task.input[0].valueReference."""
    return type_ + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def require_targets(transaction: Transaction, what: Change, resource: Mapping[str, Any]) -> int:
    """The labels of what relative references name, for types that inherit them; 0 for the others.

    Unprocessable (422 not-found) for a new reference to what is absent or hidden: one answer for both (L12). References
    that stood there before stay, even if this writer cannot see their target.
    """
    old = {local(node["reference"]) for _, node in references(what.old)} if what.old else set()
    named = {target: path for path, node in references(resource) if (target := local(node["reference"]))}
    known = (transaction.written, transaction.promised, transaction.seen)
    wanted = {
        target: path
        for target, path in named.items()
        if target not in old and not any(rh(target) in some for some in known)
    }
    wanted.pop(what.reference, None)
    rows = resources.by_hash(transaction.connection, transaction.context.visible_targets(), map(rh, wanted))
    transaction.seen |= {row.rh: row.labels for row in rows}
    missing = [(target, path) for target, path in wanted.items() if rh(target) not in transaction.seen]
    if missing:
        raise Unprocessable(issues=[_missing(what.type, target, path) for target, path in missing[:50]])
    if what.type not in INHERITING:
        return 0
    hashes = [rh(target) for target in named]
    return reduce(or_, (transaction.seen.get(one, 0) | transaction.written.get(one, 0) for one in hashes), 0)


def _missing(type_: str, target: str, path: Path) -> Issue:
    message = f"{target[:64]} does not exist or is not visible to you. Create it first, or correct the reference."
    return Issue("not-found", message, expression(type_, (*path, "reference")))
