"""The two sides of a referral, seen from the organization that writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.access.relations import local
from fhir_server.engine.access_rows import organizations
from fhir_server.engine.transaction import Transaction


@dataclass(frozen=True)
class Parties:
    """References of organizations: the caller, the requester, the owner, and who may accept."""

    caller: str
    requester: str | None
    owner: str | None
    candidates: frozenset[str]

    @property
    def is_requester(self) -> bool:
        """Whether the caller is the organization that asks."""
        return self.caller == self.requester

    @property
    def is_performer(self) -> bool:
        """Whether the caller is the owner, or a candidate while there is no owner."""
        return self.caller == self.owner if self.owner else self.caller in self.candidates

    @property
    def others(self) -> frozenset[str]:
        """The candidates besides the caller, while nobody owns the referral."""
        return frozenset() if self.owner else self.candidates - {self.caller}


def parties(transaction: Transaction, task: Mapping[str, Any], old: Mapping[str, Any]) -> Parties:
    """The sides of a Task as it was before this write, or as it is if it is new."""
    base = old or task
    found = organizations(transaction, task, old)
    owner = _organization(found, base.get("owner")) or _organization(found, task.get("owner"))
    listed = [_organization(found, item) for item in base.get("restriction", {}).get("recipient", [])]
    if not base.get("owner"):
        owner = None if listed else owner
    candidates = frozenset(filter(None, [*listed, owner]))
    return Parties(transaction.context.caller.org, _organization(found, base.get("requester")), owner, candidates)


def _organization(found: Mapping[str, str], reference: Any) -> str | None:
    name = local(reference)
    return found.get(name) if name else None
