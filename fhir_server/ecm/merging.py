"""Two Patients of one plan that are one person: the one is replaced by the other, and nothing is lost by it.

What anybody wrote of either stays where it is; nobody's resource is rewritten. The numbers of the source become former
numbers of the target, so that files and searches find the person; its place in rosters ends. Who may see the target may
see the source from now on, never the reverse (`access.merged`).  https://hl7.org/fhir/R4/patient.html#links
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from fhir_server.access import inputs
from fhir_server.access.consequences import effective
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.rosters import publishing
from fhir_server.engine import keys, writing
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Context, Transaction
from fhir_server.fhir import wire
from fhir_server.fhir.definitions import type_number
from fhir_server.fhir.errors import BusinessRule, Forbidden, NotFound
from fhir_server.store import members, merges, resources
from fhir_server.store.members import Member
from fhir_server.store.merges import Merge
from fhir_server.store.resources import TENANT, Row

Resource = Mapping[str, Any]

RIGHT: Final = "assign"  # as for assignment files: to a plan at its registration
MERGING: Final = "merging"  # the mark of a transaction that may write links between merged Patients
REPLACED_BY, REPLACES = "replaced-by", "replaces"


class Named(NamedTuple):
    """How a caller names one of its Patients: by reference, by identifiers ("system|value"), or by both."""

    reference: str
    identifiers: Sequence[str]


@dataclass
class Outcome:
    """What a merge, or its end, changed. left, back: rosters; more: organizations that see more than before."""

    source: str
    target: Row
    left: list[str] = field(default_factory=list)
    back: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)


def require_right(context: Context) -> None:
    """Forbidden for who is no plan."""
    for letter, type_ in (("u", "Patient"), ("u", "Group")):
        context.require(letter, type_)
    if RIGHT not in context.caller.rights:
        raise Forbidden(f"Members are a plan's: this client is not registered with the right {RIGHT}.")


def merge(transaction: Transaction, source: Named, target: Named, may_see: Collection[str]) -> Outcome:
    """Replace the source by the target.

    NotFound for a Patient that is absent or hidden; BusinessRule if the two cannot be one record, if the member would
    leave every roster, or if an organization would see more than before that `may_see` does not name.
    """
    old, new = own(transaction, source, "source-patient"), own(transaction, target, "target-patient")
    _require_mergeable(transaction, old, new)
    before = _see(transaction, old.rh)
    standing = _standing(transaction, old, new)
    left = leave(transaction, standing)
    record = {**_written(transaction, old, new), "left": left}
    context = transaction.context
    at = context.now
    merges.add(transaction.batch, Merge(TENANT, old.rh, new.rh, old.owner, at, orjson.dumps(record)))
    transaction.flush()
    more = _named(transaction, _see(transaction, old.rh) - before - {old.owner})
    _require_expected(more, may_see)
    transaction.touched_patients |= {old.rh, new.rh}
    transaction.audit("merge", 200, transaction.changes)
    numbers = [f"{item['system']}|{item['value']}" for item in record["identifiers"]]
    made = next(one.row for one in reversed(transaction.changes) if one.row.rh == new.rh)
    return Outcome(f"Patient/{old.fid}", made, [f"Group/{fid}" for fid, _, _ in left], [], more, numbers)


def own(transaction: Transaction, named: Named, parameter: str) -> Row:
    """The caller's own Patient of this name; NotFound if it is absent or hidden, BusinessRule if it is another's."""
    context = transaction.context
    type_, _, fid = named.reference.rpartition("/")
    if named.reference and type_ != "Patient":
        raise BusinessRule(f"{parameter} is a reference like Patient/[id].", parameter)
    owner, number = context.caller.org_hash, type_number("Patient")
    held = keys.preload(transaction, owner, number, named.identifiers)
    found = {held.get(one, "") for one in named.identifiers} | ({fid} if fid else set())
    if len(found) != 1 or "" in found:
        raise NotFound(f"{parameter}: there is no such Patient of yours, or its names contradict each other.")
    row = resources.read(transaction.connection, context.visible("u"), "Patient", found.pop())
    if row is None or row.deleted:
        raise NotFound(f"{parameter}: there is no such Patient.")
    if row.owner != owner or row.view:
        raise BusinessRule(f"{parameter} is not your organization's record. Each plan merges its own.", parameter)
    return row


def _require_mergeable(transaction: Transaction, old: Row, new: Row) -> None:
    if old.rh == new.rh:
        raise BusinessRule("Source and target are the same Patient.", "target-patient")
    for link in merges.links(transaction.connection, [old.rh, new.rh]):
        if old.rh in link[:2]:
            message = "The source takes part in a merge already. Undo that one first, or merge the other way round."
            raise BusinessRule(message, "source-patient")
        if new.rh == link[0]:
            raise BusinessRule(
                "The target was itself replaced. Merge into the Patient that replaces it.", "target-patient"
            )


def _standing(transaction: Transaction, old: Row, new: Row) -> list[Member]:
    """The source's places in rosters; BusinessRule if the target has none that could stand for them."""
    found = members.of_patients(transaction.connection, [old.rh, new.rh])
    theirs, others = ([one for one in found.get(row.rh, ()) if one.change != "dropped"] for row in (old, new))
    if theirs and not others:
        message = "The source is on a roster, the target on none. Merge the other way round, or assign the target."
        raise BusinessRule(message, "target-patient")
    return theirs


def leave(transaction: Transaction, rows: Sequence[Member]) -> list[tuple[str, str, int]]:
    """Let these members leave their rosters now; (Group's id, key, version that says so) of each."""
    visible = transaction.context.visible_targets()
    groups = {row.rh: row.fid for row in resources.by_hash(transaction.connection, visible, [one.grp for one in rows])}
    left: list[tuple[str, str, int]] = []
    for group, fid in sorted(groups.items()):
        mine = [row for row in rows if row.grp == group]
        publishing.drop(transaction, fid, mine)
        version = publishing.publish(transaction, fid)
        left += [(fid, row.key, version) for row in mine]
    return left


def _written(transaction: Transaction, old: Row, new: Row) -> dict[str, Any]:
    """Write both Patients; what the source had that the target has now, and what else was changed of it."""
    transaction.marks.add(MERGING)
    source, target = wire.parse(old.body), wire.parse(new.body)
    identifiers = source.get("identifier", [])
    ended = {name: value for name, value in source.items() if name != "identifier"}
    ended |= {"active": False, "link": [*source.get("link", []), _link(new, REPLACED_BY)]}
    profiles = source.get("meta", {}).get("profile", [])
    claim(ended, [one for one in profiles if one != words.PATIENT])  # a member's record has a CIN, this has none now
    write(transaction, old, ended)
    former = [{**item, "use": "old"} for item in identifiers]
    links = [*target.get("link", []), _link(old, REPLACES)]
    write(transaction, new, {**target, "identifier": [*target.get("identifier", []), *former], "link": links})
    return {"identifiers": identifiers, "active": source.get("active"), "profile": words.PATIENT in profiles}


def _link(to: Row, type_: str) -> dict[str, Any]:
    return {"other": {"reference": f"Patient/{to.fid}"}, "type": type_}


def claim(patient: dict[str, Any], profiles: Sequence[str]) -> None:
    """Let a resource claim these profiles, and no others."""
    meta = {name: value for name, value in patient.get("meta", {}).items() if name != "profile"}
    patient["meta"] = {**meta, **({"profile": list(profiles)} if profiles else {})}


def write(transaction: Transaction, current: Row, resource: dict[str, Any]) -> Change:
    """The Patient's next version."""
    return writing.change(transaction, current, writing.built(transaction.context, "Patient", resource))


def _see(transaction: Transaction, patient: int) -> set[int]:
    """The organizations that have, or will have, a relation to a patient."""
    transaction.flush()
    found = inputs.inputs(transaction.connection, [patient])[patient]
    return {span.org for span in effective(found) if span.ends > transaction.context.now}


def _named(transaction: Transaction, organizations: Collection[int]) -> list[str]:
    visible = transaction.context.visible_targets()
    rows = resources.by_hash(transaction.connection, visible, organizations)
    return sorted(f"Organization/{row.fid}" for row in rows)


def _require_expected(more: Sequence[str], may_see: Collection[str]) -> None:
    unexpected = sorted(set(more) - set(may_see))
    if unexpected:
        told = ", ".join(unexpected[:10])
        message = f"By this merge {told} would see the source as well. If that is right, name them as may-see."
        raise BusinessRule(message, "may-see")


def merged_away(context: Context) -> set[str]:
    """The CINs of the caller's members that a merge made former ones of another record."""
    records = [orjson.loads(one.record) for one in merges.of_owner(context.connection, context.caller.org_hash)]
    return {item["value"] for one in records for item in one["identifiers"] if item.get("system") == words.CIN}


def check(transaction: Transaction, change: Change) -> None:
    """before_write: what a merge says of its two Patients changes by the end of the merge alone (BusinessRule)."""
    if change.type != "Patient" or not change.old or MERGING in transaction.marks:
        return
    said = _merge_links(change.old)
    if not said or not merges.links(transaction.connection, [change.row.rh]):
        return
    if change.interaction == "delete":
        raise BusinessRule("This Patient takes part in a merge. Undo the merge first: Patient/$unmerge.")
    if any(link not in change.resource.get("link", []) for link in said):
        raise BusinessRule("The link of merged Patients ends by Patient/$unmerge.", "Patient.link")
    if _former(change.old) - _former(change.resource):
        message = "Former identifiers came with a merge. They stay until Patient/$unmerge."
        raise BusinessRule(message, "Patient.identifier")
    replaced = any(link["type"] == REPLACED_BY for link in said)
    if replaced and (change.resource.get("active") is not False or change.resource.get("identifier")):
        message = "This Patient was replaced: it stays inactive, and its identifiers are at the other one."
        raise BusinessRule(message, "Patient.link")


def _former(patient: Resource) -> set[tuple[Any, Any]]:
    return {(one.get("system"), one.get("value")) for one in patient.get("identifier", []) if one.get("use") == "old"}


def _merge_links(patient: Resource) -> list[Resource]:
    return [one for one in patient.get("link", []) if one.get("type") in {REPLACED_BY, REPLACES}]
