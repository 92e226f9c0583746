"""Profiles, tags and labels of the current version, changed in place: the version and its time stay ($meta-add).

https://hl7.org/fhir/R4/resource-operation-meta-add.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.access.contact import contact_view
from fhir_server.access.labels import raise_only, risen
from fhir_server.engine import contact_rows, index_rows, inheriting
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Transaction
from fhir_server.engine.labelling import labels, labels_of_contact, require_right_to_label
from fhir_server.engine.writing import check
from fhir_server.fhir import wire
from fhir_server.store import amending
from fhir_server.store.db import lock_keys
from fhir_server.store.resources import Row

Meta = Mapping[str, Any]
NAMES = ("profile", "security", "tag")


def change(transaction: Transaction, type_: str, current: Row, edit: Callable[[Meta], Meta]) -> Change:
    """The version with the meta that `edit` makes, of NAMES alone; nothing is written where it changes nothing.

    BusinessRule if a security label would go (B-63); Unprocessable if an added profile is not satisfied.
    """
    old = wire.parse(current.body)
    before, after = old["meta"], edit(old["meta"])
    changes: dict[tuple[str | int, ...], Any] = {
        ("meta", name): after.get(name) or wire.DELETE for name in NAMES if after.get(name) != before.get(name)
    }
    if not changes:
        return Change("meta", type_, current, old, current, old)
    raise_only(before.get("security", []), after.get("security", []))
    body = wire.edit(current.body, changes)
    resource = wire.parse(body)
    check(transaction.context, type_, resource)
    require_right_to_label(transaction, current, type_, resource)
    bits = risen(current.labels, labels(transaction, type_, resource))
    made = Change("meta", type_, current._replace(body=body, labels=bits), resource, current, old)
    for hook in transaction.context.engine.hooks.before_write:
        hook(transaction, made)  # a rule may refuse; what it would add waits for the next version
    amending.amend(transaction.connection, current, made.row)
    index_rows.change(transaction, made)
    if type_ == "Patient":
        _raise_contact(transaction, current, resource)
    transaction.written[current.rh] = bits
    inheriting.spread(transaction, current.rh, current.labels, bits)
    return made


def _raise_contact(transaction: Transaction, current: Row, patient: Mapping[str, Any]) -> None:
    """The contact view is a body of its own without these tags; it only may become more sensitive."""
    if bits := labels_of_contact(transaction, patient, contact_view(patient)):
        lock_keys(transaction.connection, [current.rh])
        contact_rows.label(transaction, current, bits)
