"""What a write leaves behind for those who follow it: the change of one resource, or the removal of a whole record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.store.resources import Row


@dataclass(slots=True)
class Change:
    """One resource created, updated or deleted: its new row and resource, and what they replace."""

    interaction: str
    type: str
    row: Row
    resource: Mapping[str, Any]
    before: Row | None = None
    old: Mapping[str, Any] | None = None

    @property
    def reference(self) -> str:
        """Type/id."""
        return f"{self.type}/{self.row.fid}"


@dataclass(frozen=True)
class Purged:
    """What is being removed: the Patient's current row, every version of the Patient, and the ids of all that goes."""

    patient: Row
    versions: Sequence[Mapping[str, Any]]
    ids: frozenset[str]
