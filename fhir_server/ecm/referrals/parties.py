"""The two sides of a referral, seen from the organization that writes, and what the referral refers to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.access.relations import local
from fhir_server.engine.access_rows import organizations
from fhir_server.engine.context import Transaction
from fhir_server.fhir import wire
from fhir_server.rest.linking import Unresolved
from fhir_server.store import resources
from fhir_server.store.hashing import rh

Resource = Mapping[str, Any]

ANSWERS_FOR: Final = "answers for"  # the note that names the organization whose reported answer is being recorded


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


def parties(transaction: Transaction, task: Resource) -> Parties:
    """The sides of a Task as it says itself; a PractitionerRole stands for the organization it works for.

    While a reported answer is recorded, whoever gave it is the caller.
    """
    found = organizations(transaction, task)
    listed = [_organization(found, item) for item in task.get("restriction", {}).get("recipient", [])]
    owner = _organization(found, task.get("owner"))
    candidates = frozenset(filter(None, [*listed, owner]))
    caller = transaction.context.notes.get(ANSWERS_FOR, transaction.context.caller.org)
    return Parties(caller, _organization(found, task.get("requester")), owner, candidates)


def _organization(found: Mapping[str, str], reference: Any) -> str | None:
    name = local(reference)
    return found.get(name) if name else None


def referred(transaction: Transaction, reference: Any, type_: str) -> Resource | None:
    """What a reference to this server names, if the caller may see it; None otherwise, or if it names another type.

    In a Bundle, what another entry will write is waited for (Unresolved): no rule is passed by because of the order.
    """
    name = local(reference, type_)
    if name is None:
        return None
    transaction.flush()
    hash_ = rh(name)
    rows = resources.by_hash(transaction.connection, transaction.context.visible_targets(), [hash_])
    if rows:
        return dict(wire.parse(rows[0].body))
    if hash_ in transaction.promised and hash_ not in transaction.written:
        raise Unresolved(f"{name} must stand in the Bundle so that it is stored before what refers to it.")
    return None
