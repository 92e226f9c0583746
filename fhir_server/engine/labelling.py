"""The labels of a row: what the resource says, where it comes from, and what it speaks of (R17)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fhir_server.access.classes import SUD2
from fhir_server.access.contact import contact_labels
from fhir_server.access.labels import Membership, labels_of, no_lists, sources_of
from fhir_server.engine.context import Transaction
from fhir_server.engine.law_classes import PART2
from fhir_server.fhir.errors import BusinessRule
from fhir_server.store.hashing import rh
from fhir_server.store.resources import Row

INHERITING = frozenset({"Provenance", "AuditEvent", "Binary"})  # they are as sensitive as what they speak of


def labels(transaction: Transaction, type_: str, resource: Mapping[str, Any]) -> int:
    """The label bits of a resource that this caller writes."""
    sources = [transaction.law_class_of(rh(source)) for source in sources_of(resource)]
    return labels_of(type_, resource, _is_from_unit(transaction, sources), _lists(transaction, type_, sources))


def require_right_to_label(transaction: Transaction, current: Row, type_: str, resource: Mapping[str, Any]) -> None:
    """BusinessRule if another than the owner states labels that would hide a stored resource from who sees it.

    What follows from its codes and its source raises its labels whoever writes (R17); a word in meta.security does so
    for its owner alone.
    """
    if transaction.context.caller.org_hash == current.owner:
        return
    bare = {name: value for name, value in resource.items() if name != "meta"}  # dom-5: contained ones have none
    follows = current.labels | labels(transaction, type_, bare)
    if labels(transaction, type_, resource) & ~follows:
        message = (
            f"Only the organization that wrote this {type_} may give it a label that hides it from others. "
            "Write what is sensitive as a resource of your own, and label that."
        )
        raise BusinessRule(message, "meta.security")


def labels_of_contact(transaction: Transaction, patient: Mapping[str, Any], view: Mapping[str, Any]) -> int:
    """The label bits of a Patient's contact view."""
    sources = [transaction.law_class_of(rh(source)) for source in sources_of(patient)]
    from_unit, lists = _is_from_unit(transaction, sources), _lists(transaction, "Patient", sources)
    return contact_labels(patient, source_is_part2=from_unit, membership=lists, view=view)


def _is_from_unit(transaction: Transaction, sources: Sequence[str | None]) -> bool:
    """Whether a resource comes from a Part 2 unit: it writes it, or is named as its source."""
    return transaction.context.caller.law_class == PART2 or PART2 in sources


def _lists(transaction: Transaction, type_: str, sources: Sequence[str | None]) -> Membership:
    """The code lists. A substance use code makes a Part 2 record only where some source may be a Part 2 program.

    That is a source that nobody registered: of the others it is known what they are. A Consent speaks of such records
    by their codes, whoever writes it.
    """
    lists = transaction.context.engine.hooks.membership
    if type_ == "Consent" or None in sources or lists is no_lists:
        return lists
    return lambda system, code: lists(system, code) & ~SUD2
