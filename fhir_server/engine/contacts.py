"""What a transaction does that the contact views of Patients must follow; `contact_rows` follows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from fhir_server.access.contact import contact_view
from fhir_server.engine.labelling import labels_of_contact

if TYPE_CHECKING:
    from fhir_server.engine.transaction import Change, Transaction


class Written(NamedTuple):
    """A Patient's first and last write in a transaction, and the labels of its contact views in all of them."""

    first: Change
    last: Change
    labels: int


@dataclass(slots=True)
class Contacts:
    """Patients by their hashes; shown: those whose contact view somebody is shown who was not shown it before."""

    written: dict[int, Written] = field(default_factory=dict)
    shown: set[int] = field(default_factory=set)

    @property
    def sought(self) -> set[int]:
        """The Patients that were there before: others may write them, or refer them, at the same time."""
        born = {patient for patient, one in self.written.items() if one.first.before is None}
        return (self.written.keys() | self.shown) - born


def follow(transaction: Transaction, what: Change) -> None:
    """Note that a Patient is written."""
    known = transaction.contacts.written.get(what.row.rh)
    labels = known.labels if known else 0
    if what.row.labels or what.row.deleted:  # a part says nothing of sensitivity that the whole does not say
        labels |= labels_of_contact(transaction, what.resource, contact_view(what.resource))
    transaction.contacts.written[what.row.rh] = Written(known.first if known else what, what, labels)
