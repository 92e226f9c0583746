"""Who is who in the directory: ECM Providers by NPI, as a file names them.

Everybody may write into the directory, so what an organization states of itself is no proof: members follow an NPI to
the organization for which the operator of the exchange verified it at registration. An NPI that nobody registered means
the entry that the operator made, or that the asking organization noted for itself.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fhir_server.ecm import vocabulary as words
from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.engine.enrolment import holders
from fhir_server.engine.labelling import OPERATOR, law_classes
from fhir_server.engine.transaction import Change, Transaction
from fhir_server.fhir.errors import BusinessRule
from fhir_server.search.include import Hit
from fhir_server.store.db import lock_key
from fhir_server.store.hashing import rh

_MOST = 200  # entries with one NPI that are looked at, newest first
_TOGETHER = 50  # entries looked up by one statement


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
    """NPI -> organization, for those registered; an NPI that two entries carry is left out as ambiguous."""
    wanted = sorted(set(npis))
    held = holders(context.connection, words.NPI, wanted)
    entries = _entries(context, held.values())
    found = {npi: entries[name] for npi, name in held.items() if name in entries}
    classes = law_classes(context.connection) if len(held) < len(wanted) else {}
    for npi in wanted:
        hits = [] if npi in held else list(_noted(context, npi, classes))
        if len(hits) == 1:
            found[npi] = _provider(hits[0])
    return found


def _entries(context: Context, names: Collection[str]) -> dict[str, Provider]:
    """The directory's entries of these organizations, by "Organization/id"."""
    ids = sorted({name.partition("/")[2] for name in names})
    found: dict[str, Provider] = {}
    for start in range(0, len(ids), _TOGETHER):
        some = ids[start : start + _TOGETHER]
        for hit in repository.lookup(context, "Organization", [("_id", ",".join(some))], limit=_TOGETHER):
            found[f"Organization/{hit.fid}"] = _provider(hit)
    return found


def _provider(entry: Hit) -> Provider:
    return Provider(entry.fid, str(orjson.loads(entry.body).get("name", entry.fid)))


def check(transaction: Transaction, change: Change) -> None:
    """before_write: an Organization takes no NPI that is another's already (BusinessRule)."""
    if change.type != "Organization" or change.interaction == "delete":
        return
    new = sorted(set(_npis(change.resource)) - set(_npis(change.old or {})))
    if not new:
        return
    for npi in new:
        lock_key(transaction.connection, rh(f"{words.NPI}|{npi}"))
    transaction.flush()
    held = holders(transaction.connection, words.NPI, new)
    classes = law_classes(transaction.connection)
    for npi in new:
        others = any(hit.rh != change.row.rh for hit in _noted(transaction.context, npi, classes))
        if others or held.get(npi, change.reference) != change.reference:
            raise BusinessRule("Another organization of the directory has this NPI.", "Organization.identifier")


def _npis(organization: Mapping[str, Any]) -> Iterator[str]:
    for identifier in organization.get("identifier", []):
        if identifier.get("system") == words.NPI and identifier.get("value"):
            yield str(identifier["value"])


def _noted(context: Context, npi: str, classes: Mapping[int, str]) -> Iterator[Hit]:
    """The entries with this NPI that the operator made, or the caller for itself."""
    for hit in repository.lookup(context, "Organization", [("identifier", f"{words.NPI}|{npi}")], limit=_MOST):
        if hit.owner == context.caller.org_hash or classes.get(hit.owner) == OPERATOR:
            yield hit
