"""Who is who in the directory: ECM Providers by NPI, as a file names them.

Everybody may write into the directory. So an NPI counts where an organization states its own, where the operator of the
exchange states it, or where the asking organization noted it itself; and nobody can state an NPI that is another's.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fhir_server.ecm import vocabulary as words
from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.engine.labelling import OPERATOR, law_classes
from fhir_server.engine.transaction import Change, Transaction
from fhir_server.fhir.errors import BusinessRule
from fhir_server.search.include import Hit
from fhir_server.store.db import lock_key
from fhir_server.store.hashing import rh

_MOST = 200  # entries with one NPI that are looked at, newest first


@dataclass(frozen=True)
class Provider:
    """An organization of the directory."""

    id: str
    name: str

    @property
    def reference(self) -> str:
        """Organization/id."""
        return f"Organization/{self.id}"


def providers_by_npi(context: Context, npis: Iterable[str]) -> dict[str, Provider]:
    """NPI -> organization, for those registered; an NPI that two organizations carry is left out as ambiguous."""
    found: dict[str, Provider] = {}
    classes = law_classes(context.connection)
    for npi in sorted(set(npis)):
        hits = list(_stating(context, npi, classes))
        if len(hits) == 1:
            name = orjson.loads(hits[0].body).get("name", hits[0].fid)
            found[npi] = Provider(hits[0].fid, str(name))
    return found


def check(transaction: Transaction, change: Change) -> None:
    """before_write: an Organization takes no NPI that is another's already (BusinessRule)."""
    if change.type != "Organization" or change.interaction == "delete":
        return
    new = sorted(set(_npis(change.resource)) - set(_npis(change.old or {})))
    for npi in new:
        lock_key(transaction.connection, rh(f"{words.NPI}|{npi}"))
    transaction.flush()
    classes = law_classes(transaction.connection) if new else {}
    for npi in new:
        if any(hit.rh != change.row.rh for hit in _stating(transaction.context, npi, classes)):
            raise BusinessRule("Another organization of the directory has this NPI.", "Organization.identifier")


def _npis(organization: Mapping[str, Any]) -> Iterator[str]:
    for identifier in organization.get("identifier", []):
        if identifier.get("system") == words.NPI and identifier.get("value"):
            yield str(identifier["value"])


def _stating(context: Context, npi: str, classes: Mapping[int, str]) -> Iterator[Hit]:
    """The entries with this NPI that count for this caller."""
    for hit in repository.lookup(context, "Organization", [("identifier", f"{words.NPI}|{npi}")], limit=_MOST):
        if hit.owner in {hit.rh, context.caller.org_hash} or classes.get(hit.owner) == OPERATOR:
            yield hit
