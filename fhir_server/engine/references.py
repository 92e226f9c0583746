"""The references inside a resource: where they are, where they point, and whether the caller may point there."""

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.engine.transaction import Transaction
from fhir_server.fhir.errors import Issue, Unprocessable
from fhir_server.store import resources
from fhir_server.store.hashing import rh
from fhir_server.store.resources import Row

Path = tuple[str | int, ...]


def references(node: Any, path: Path = ()) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every Reference in a resource with its path, contained resources included."""
    if isinstance(node, dict):
        if isinstance(node.get("reference"), str):
            yield path, node
        for name, child in node.items():
            if isinstance(child, (dict, list)):
                yield from references(child, (*path, name))
    elif isinstance(node, list):
        for number, child in enumerate(node):
            yield from references(child, (*path, number))


def local(reference: str) -> str | None:
    """Type/id of a relative reference, without its version; None for contained, absolute and urn ones."""
    if reference.startswith("#") or ":" in reference or "?" in reference:
        return None
    return "/".join(reference.split("/")[:2])


def expression(type_: str, path: Path) -> str:
    """The FHIRPath of an element: Task.input[0].valueReference."""
    return type_ + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def require_targets(transaction: Transaction, type_: str, resource: Mapping[str, Any], own: str) -> list[Row]:
    """The stored rows that relative references name; those written in this transaction are left out.

    Unprocessable (422 not-found) for what is absent or hidden: one answer for both (L12).
    """
    wanted = {
        target: path
        for path, node in references(resource)
        if (target := local(node["reference"])) and target != own and rh(target) not in transaction.written
    }
    visible = transaction.context.visible_targets()
    rows = resources.by_hash(transaction.connection, visible, map(rh, wanted))
    seen = {row.rh for row in rows}
    missing = [(target, path) for target, path in wanted.items() if rh(target) not in seen]
    if missing:
        raise Unprocessable(issues=[_missing(type_, target, path) for target, path in missing[:50]])
    return rows


def _missing(type_: str, target: str, path: Path) -> Issue:
    message = f"{target[:64]} does not exist or is not visible to you. Create it first, or correct the reference."
    return Issue("not-found", message, expression(type_, (*path, "reference")))
