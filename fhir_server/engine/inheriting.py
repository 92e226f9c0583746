"""What speaks of a resource becomes as sensitive as the resource does, when it does (R12, R17, L25)."""

from __future__ import annotations

from fhir_server.engine.context import Transaction
from fhir_server.engine.labelling import INHERITING
from fhir_server.fhir.definitions import type_number
from fhir_server.store import amending


def spread(transaction: Transaction, target: int, before: int, after: int) -> None:
    """Add the labels that a resource (its reference's hash) gained to everything that inherits from it."""
    gained = after & ~before
    if not gained:
        return
    types = sorted(map(type_number, INHERITING))
    parameters = sorted(
        number for (type_, _), number in transaction.context.engine.params.items() if type_ in INHERITING
    )
    transaction.flush()
    amending.relabel_referring(transaction.connection, target, types, parameters, gained)
