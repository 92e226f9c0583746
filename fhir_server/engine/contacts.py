"""What a transaction does that the contact views of Patients must follow; `contact_rows` follows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from fhir_server.engine.changes import Change


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
