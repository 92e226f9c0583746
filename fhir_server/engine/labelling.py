"""The labels of a row: what the resource says, where it comes from, and what it speaks of (R17)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select

from fhir_server.access.labels import labels_of, sources_of
from fhir_server.fhir.errors import BusinessRule
from fhir_server.store.hashing import rh
from fhir_server.store.tables import client

if TYPE_CHECKING:
    from fhir_server.engine.transaction import Transaction

INHERITING = frozenset({"Provenance", "AuditEvent", "Binary"})  # they are as sensitive as what they speak of
_PART2 = "part2"


def labels(transaction: Transaction, type_: str, resource: Mapping[str, Any]) -> int:
    """The label bits of a resource that this caller writes."""
    from_unit = transaction.context.caller.law_class == _PART2 or any(
        transaction.law_class_of(rh(source)) == _PART2 for source in sources_of(resource)
    )
    return labels_of(type_, resource, from_unit, transaction.context.engine.hooks.membership)


def require_not_lowered(type_: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """BusinessRule (422) if a client leaves out a security label that the stored version carries (B-63, row 67)."""
    before = labels_of(type_, {"meta": old.get("meta", {})})
    after = labels_of(type_, {"meta": new.get("meta", {})})
    if before & ~after:
        message = "meta.security leaves out a label of the stored version. Labels can be added, never taken away."
        raise BusinessRule(message, f"{type_}.meta.security")


def law_classes(connection: Connection) -> dict[int, str]:
    """Organization hash -> law class, from the registered clients; a Part 2 registration wins."""
    found: dict[int, str] = {}
    for organization, law_class in connection.execute(select(client.c.organization, client.c.law_class)):
        if law_class != "operator" and found.get(rh(organization)) != _PART2:
            found[rh(organization)] = law_class
    return found
