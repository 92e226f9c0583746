"""The access tables, kept in the transaction of the write that changes them: relations, directives, shares, access.

What follows from a resource is decided in `access`; here it is read and written. Access to a patient is recomputed
once, at the end of the transaction, from all relations and directives there are then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import BindParameter, Table, bindparam, delete, select

from fhir_server.access import inputs, predicate, referral
from fhir_server.access.consent import directives_of, require_denials_kept
from fhir_server.access.consequences import consequences, run_outs
from fhir_server.access.law import standard
from fhir_server.access.merged import Links
from fhir_server.access.relations import Directive, Rel, Share, from_care_team, from_coverage, local, roster_share
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Transaction
from fhir_server.fhir import wire
from fhir_server.fhir.errors import BusinessRule
from fhir_server.store import resources, rights
from fhir_server.store.hashing import rh
from fhir_server.store.resources import TENANT, Row
from fhir_server.store.statements import Statement
from fhir_server.store.tables import (
    access,
    directive,
    directive_past,
    rel,
    rel_past,
    runout,
    share,
    share_past,
)

_DAY = 86_400_000
_CHUNK = 500
_PASTS = {rel: rel_past, directive: directive_past, share: share_past}
_DIRECTIVE = ("patient", "recipient", "purpose", "classes", "effect", "from", "until", "consent", "ordinal")


def apply(transaction: Transaction, change: Change) -> None:
    """Write the relations, directives or shares that this change causes, in place of those it caused before."""
    if change.type in {"Coverage", "CareTeam"}:
        _relations(transaction, change)
    elif change.type == "Consent":
        _directives(transaction, change)
    elif change.type == "Task":
        _shares(transaction, change)
    elif change.type == "Patient" and change.before is not None:
        transaction.touched_patients.add(change.row.rh)


def _touch(transaction: Transaction, change: Change) -> None:
    for row in (change.row, change.before):
        if row is not None and row.patient is not None:
            transaction.touched_patients.add(row.patient)


def _relations(transaction: Transaction, change: Change) -> None:
    source, zone = change.row.rh, transaction.context.engine.settings.zone
    previous = _relations_of(transaction, change)
    if change.type == "Coverage":
        rows = from_coverage(change.resource, source, zone)
    else:
        rows = from_care_team(change.resource, source, zone)
        if not _by_owner(transaction, change):
            _require_no_more(rows, from_care_team(change.resource, source, zone, by_owner=False, previous=previous))
    _put(transaction, change, rel, rel.c.source, [row.values for row in rows])
    # Not the row's patient: a Coverage that names a parent as its subscriber too is nobody's alone.
    transaction.touched_patients |= {row.patient for row in (*rows, *previous)}


def _require_no_more(rows: Sequence[Rel], kept: Sequence[Rel]) -> None:
    """BusinessRule if an organization is added, or for longer, by another than the owner.

    Its next write, made in good faith, would let that organization in.
    """
    if set(rows) - set(kept):
        message = "Only who wrote this CareTeam adds organizations to it. Write a CareTeam of your own for the member."
        raise BusinessRule(message, "CareTeam.participant")


def _by_owner(transaction: Transaction, change: Change) -> bool:
    return transaction.context.caller.org_hash == change.row.owner


def _relations_of(transaction: Transaction, change: Change) -> list[Rel]:
    if change.before is None:
        return []
    transaction.flush()
    return [Rel(*row) for row in _RELATIONS.rows(transaction.connection, {"source": change.row.rh})]


def _directives(transaction: Transaction, change: Change) -> None:
    engine = transaction.context.engine
    rows = directives_of(change.resource, change.row.rh, engine.settings.zone, engine.hooks.membership)
    if change.before is not None and not _by_owner(transaction, change):
        transaction.flush()
        found = _DIRECTIVES.rows(transaction.connection, {"consent": change.row.rh})
        require_denials_kept([Directive(*row) for row in found], rows, transaction.context.now)
    _put(transaction, change, directive, directive.c.consent, [row.values for row in rows])
    _touch(transaction, change)


def _put(transaction: Transaction, change: Change, table: Table, column: Any, rows: Sequence[tuple[Any, ...]]) -> None:
    old: Sequence[Any] = ()
    if change.before is not None:
        transaction.flush()
        gone = delete(table).where(column == change.row.rh).returning(*table.c)
        old = transaction.connection.execute(gone).all()
    _succeed(transaction, table, old, [(TENANT, change.row.part, *row) for row in rows])


def _succeed(transaction: Transaction, table: Table, old: Sequence[Any], rows: Sequence[tuple[Any, ...]]) -> None:
    """Write rows in place of others, which go to the past; what is said as before is said since before."""
    now = transaction.context.now
    said = {tuple(row)[:-1]: row[-1] for row in old}
    transaction.batch.extend(table, [(*row, said.get(row, now)) for row in rows])
    if old:
        kept = set(rows)
        gone = [(*row, since, now) for row, since in said.items() if row not in kept and since < now]
        transaction.batch.extend(_PASTS[table], gone)


def _shares(transaction: Transaction, change: Change) -> None:
    transaction.flush()
    context, row = transaction.context, change.row
    focus, grace = _focus(transaction, change.resource), context.engine.settings.share_grace_days * _DAY
    write = referral.Write(
        change.resource, change.old if change.before else None, focus, row.rh, row.owner,
        context.caller.org_hash, context.now, grace,
    )  # fmt: skip
    wanted = {rh(target) for target in referral.targets(change.resource, focus)}
    patient = row.patient or 0
    may_pass_on = predicate.shareable(transaction.connection, context.caller, context.now, wanted, patient)
    mask_of = referral.mask_by(standard(), transaction.law_class_of)
    working_for = organizations(transaction, change.resource, change.old or {})
    _require_known_roles(change, working_for)
    previous = [Share(*old) for old in rights.shares_of(transaction.connection, row.rh)] if change.before else []
    rows = referral.shares_of_task(write, may_pass_on, mask_of, previous, working_for.get)
    rows = [_with_own_words(item, change.row, context.caller.org_hash, previous) for item in rows]
    _put(transaction, change, share, share.c.source, [item.values for item in rows])
    shown, before = ({item.target for item in some if item.view} for some in (rows, previous))
    transaction.contacts.shown |= shown - before


def _with_own_words(item: Share, task: Row, writer: int, previous: Sequence[Share]) -> Share:
    """Who wrote in a Task goes on seeing it: a Part 2 unit's words raise its labels above the unit's own mask."""
    if item.target != task.rh:
        return item
    mask = item.mask | (task.labels if item.org == writer else 0)
    for old in previous:
        mask |= old.mask if (old.org, old.target) == (item.org, task.rh) else 0
    return replace(item, mask=mask)


def _focus(transaction: Transaction, task: Mapping[str, Any]) -> Mapping[str, Any] | None:
    reference = local(task.get("focus"), "ServiceRequest")
    rows = _seen(transaction, [reference]) if reference else []
    return wire.parse(rows[0].body) if rows else None


def _require_known_roles(change: Change, working_for: Mapping[str, str]) -> None:
    """BusinessRule for a party named anew by a PractitionerRole that no organization vouches for."""
    for name in sorted(_parties(change.resource) - _parties(change.old or {})):
        if name.startswith("PractitionerRole/") and name not in working_for:
            message = f"{name[:64]} was not written by the organization it works for. Name the organization instead."
            raise BusinessRule(message, "Task")


def organizations(transaction: Transaction, *tasks: Mapping[str, Any]) -> dict[str, str]:
    """Organization of every requester, owner and recipient; of a PractitionerRole the one it works for.

    A role counts if the organization says itself that it is one of its own, or the operator says so: whoever else wrote
    it could send a referral elsewhere by writing it again.
    """
    names = {name for task in tasks for name in _parties(task)}
    found = {name: name for name in names if name.startswith("Organization/")}
    for row in _seen(transaction, [name for name in names if name.startswith("PractitionerRole/")]):
        organization = local(wire.parse(row.body).get("organization"), "Organization")
        if organization and transaction.speaks_for(row.owner, organization):
            found[f"PractitionerRole/{row.fid}"] = organization
    return found


def _parties(task: Mapping[str, Any]) -> set[str]:
    nodes = [task.get("requester"), task.get("owner"), *task.get("restriction", {}).get("recipient", [])]
    return {name for node in nodes if (name := local(node))}


def _seen(transaction: Transaction, references: Iterable[str]) -> list[Row]:
    visible = transaction.context.visible_targets()
    return resources.by_hash(transaction.connection, visible, map(rh, references))


def set_relations(transaction: Transaction, source: int, rows: Sequence[Rel]) -> None:
    """Put these relations in place of all that `source` gave to the same patients."""
    patients = {row.patient for row in rows}
    gone = {"source_": source, "patients": sorted(patients)}
    old = transaction.connection.execute(_FORGET_FROM, gone).all()
    _succeed(transaction, rel, old, [(TENANT, 0, *row.values) for row in rows])
    transaction.touched_patients |= patients


def end_run_outs(transaction: Transaction, source: int, patients: Iterable[int]) -> None:
    """What `source` gave of these patients was a mistake: nothing of it stays readable when it ends."""
    transaction.flush()
    some = sorted(patients)
    old = transaction.connection.execute(_FORGET_FROM, {"source_": source, "patients": some}).all()
    at = list(rel.c.keys()).index("stays")
    _succeed(transaction, rel, old, [(*row[:at], 0) for row in map(tuple, old)])
    transaction.touched_patients.update(some)


def show(transaction: Transaction, row: Row, org: int) -> None:
    """Show a resource to an organization from now on because of its own contract with it."""
    mask = referral.mask_by(standard(), transaction.law_class_of)(org)
    transaction.batch.add(share, TENANT, row.part, *roster_share(row.rh, org, mask).values, transaction.context.now)


def recompute(transaction: Transaction, links: Links) -> None:
    """Replace the access rows and run-outs of every patient this transaction touched; `links`: merges among them."""
    patients = sorted(transaction.touched_patients)
    found = inputs.inputs(transaction.connection, patients, links)
    parts = {change.row.patient: change.row.part for change in transaction.changes}
    new = {change.row.rh for change in transaction.changes if change.type == "Patient" and change.before is None}
    known = [patient for patient in patients if patient not in new]
    for start in range(0, len(known), _CHUNK):
        for forget in (_FORGET, _FORGET_RUNOUTS):
            transaction.connection.execute(forget, {"patients": known[start : start + _CHUNK]})
    for patient in patients:
        place = TENANT, parts.get(patient, 0)
        spans = consequences(found[patient], standard(), transaction.law_class_of)
        transaction.batch.extend(access, [(*place, *span.values) for span in spans])
        transaction.batch.extend(runout, [(*place, *one.values) for one in run_outs(found[patient])])
    transaction.touched_patients = set()


_SOME: BindParameter[Any] = bindparam("patients", expanding=True)
_FORGET = delete(access).where(access.c.patient.in_(_SOME))
_FORGET_RUNOUTS = delete(runout).where(runout.c.patient.in_(_SOME))
_FORGET_FROM = delete(rel).where(rel.c.source == bindparam("source_"), rel.c.patient.in_(_SOME)).returning(*rel.c)
_DIRECTIVES = Statement(
    select(*[directive.c[name] for name in _DIRECTIVE]).where(directive.c.consent == bindparam("consent"))
)
_RELATIONS = Statement(
    select(*[rel.c[name] for name in ("patient", "org", "kind", "from", "until", "source")]).where(
        rel.c.source == bindparam("source")
    )
)
