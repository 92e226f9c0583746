"""The labels of a row: what the resource says, where it comes from, and what it speaks of (R17)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select

from fhir_server.access.contact import contact_labels
from fhir_server.access.labels import labels_of, sources_of
from fhir_server.store.hashing import rh
from fhir_server.store.tables import client

if TYPE_CHECKING:
    from fhir_server.engine.transaction import Transaction

INHERITING = frozenset({"Provenance", "AuditEvent", "Binary"})  # they are as sensitive as what they speak of
_PART2 = "part2"
OPERATOR = "operator"
_STRICTNESS = {OPERATOR: 0, "covered": 1, "non-hipaa": 2, _PART2: 3}


def labels(transaction: Transaction, type_: str, resource: Mapping[str, Any]) -> int:
    """The label bits of a resource that this caller writes."""
    from_unit = _is_from_unit(transaction, resource)
    return labels_of(type_, resource, from_unit, transaction.context.engine.hooks.membership)


def labels_of_contact(transaction: Transaction, patient: Mapping[str, Any], view: Mapping[str, Any]) -> int:
    """The label bits of a Patient's contact view."""
    from_unit = _is_from_unit(transaction, patient)
    membership = transaction.context.engine.hooks.membership
    return contact_labels(patient, source_is_part2=from_unit, membership=membership, view=view)


def _is_from_unit(transaction: Transaction, resource: Mapping[str, Any]) -> bool:
    """Whether a resource comes from a Part 2 unit: it writes it, or is named as its source."""
    return transaction.context.caller.law_class == _PART2 or any(
        transaction.law_class_of(rh(source)) == _PART2 for source in sources_of(resource)
    )


def law_classes(connection: Connection) -> dict[int, str]:
    """Organization hash -> law class (or "operator"), from the registered clients; of several the strictest holds."""
    found: dict[int, str] = {}
    rows = connection.execute(select(client.c.organization, client.c.law_class))
    for organization, law_class in sorted(rows, key=lambda row: _STRICTNESS.get(row[1], 0)):
        if law_class in _STRICTNESS:
            found[rh(organization)] = law_class
    return found
