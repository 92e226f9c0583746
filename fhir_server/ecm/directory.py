"""Who is who in the directory: ECM Providers by NPI, as a file names them.

Everybody may write into the directory, so what an organization states of itself is no proof: members follow an NPI to
the organization for which the operator of the exchange verified it at registration. An NPI that nobody registered means
the entry that the operator made, or that the asking organization noted for itself.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fhir_server.access.relations import local
from fhir_server.ecm import vocabulary as words
from fhir_server.engine import repository
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Context, Transaction
from fhir_server.engine.enrolment import holders
from fhir_server.engine.law_classes import OPERATOR, law_classes
from fhir_server.fhir.errors import BusinessRule
from fhir_server.search.include import Hit
from fhir_server.store.db import lock_key
from fhir_server.store.hashing import rh

_COVERED = "covered"
_MOST = 200  # entries with one NPI that are looked at, newest first
_TOGETHER = 50  # entries looked up by one statement


@dataclass(frozen=True)
class Provider:
    """An organization of the directory, with the tax identifiers it is known by."""

    id: str
    name: str
    tins: frozenset[str] = frozenset()

    @property
    def reference(self) -> str:
        """Organization/id."""
        return f"Organization/{self.id}"


AMBIGUOUS = Provider("", "")  # an NPI that two organizations carry


def providers_by_npi(context: Context, npis: Iterable[str]) -> dict[str, Provider]:
    """NPI -> the organization that holds the contract, for those registered; AMBIGUOUS where two carry the NPI.

    A site that has no system of its own stands for the organization it belongs to under the same tax identifier.
    """
    wanted, found = sorted(set(npis)), dict[str, Provider]()
    held = holders(context.connection, words.NPI, wanted)
    entries, classes = _entries(context, held.values()), law_classes(context.connection)
    for npi in wanted:
        if npi in held:
            hits = [entries[held[npi]]] if held[npi] in entries else []
        else:
            hits = list(_noted(context, npi, classes))
        if len(hits) == 1:
            found[npi] = _contract_holder(context, hits[0], classes)
        elif hits:
            found[npi] = AMBIGUOUS
    return found


def _entries(context: Context, references: Collection[str]) -> dict[str, Hit]:
    """Organization/id -> its entry in the directory."""
    ids = sorted({reference.rpartition("/")[2] for reference in references})
    found: dict[str, Hit] = {}
    for start in range(0, len(ids), _TOGETHER):
        some = ",".join(ids[start : start + _TOGETHER])
        hits = repository.lookup(context, "Organization", [("_id", some)], limit=_TOGETHER)
        found.update({f"Organization/{hit.fid}": hit for hit in hits})
    return found


def _contract_holder(context: Context, site: Hit, classes: Mapping[int, str]) -> Provider:
    """The site itself if it has a client, else the covered organization that it is part of, by reference or by TIN.

    A TIN alone counts where the operator verified it at registration: anybody can claim one.
    """
    organization = orjson.loads(site.body)
    tins = frozenset(_tins(organization))
    if site.rh in classes or not tins:
        return _provider(site, organization, tins)
    parent = local(organization.get("partOf"), "Organization")
    verified = set(holders(context.connection, words.TIN, tins).values())
    for hit in _entries(context, [parent] if parent else sorted(verified)).values():
        own = orjson.loads(hit.body)
        if classes.get(hit.rh) == _COVERED and tins.intersection(_tins(own)):
            return _provider(hit, own, tins)
    return _provider(site, organization, tins)


def entry(context: Context, reference: str) -> Mapping[str, Any]:
    """An organization as it stands in the directory; {} if there is none."""
    hit = _entries(context, [reference]).get(reference)
    found: dict[str, Any] = orjson.loads(hit.body) if hit else {}
    return found


def _provider(hit: Hit, organization: Mapping[str, Any], tins: frozenset[str]) -> Provider:
    return Provider(hit.fid, str(organization.get("name", hit.fid)), tins | frozenset(_tins(organization)))


def _tins(organization: Mapping[str, Any]) -> Iterator[str]:
    for identifier in organization.get("identifier", []):
        if identifier.get("system") == words.TIN and identifier.get("value"):
            yield "".join(filter(str.isdigit, str(identifier["value"])))


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
