"""A patient's record removed for good: what its owner wrote, every version of it. The audit trail stays.

What other organizations wrote about the patient is theirs and stays with them. Copies that the server itself kept of
what is removed go as well: answers kept under a key, and whatever `Hooks.on_purge` and `Hooks.after_purge` know of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fhir_server.engine import access_rows, idempotency, index_rows
from fhir_server.engine.changes import Change, Purged
from fhir_server.engine.context import Context, Transaction
from fhir_server.fhir import wire
from fhir_server.fhir.definitions import type_names
from fhir_server.fhir.errors import BusinessRule, Forbidden, NotFound
from fhir_server.store import purging, resources
from fhir_server.store.db import lock_keys
from fhir_server.store.hashing import rh
from fhir_server.store.history import LARGEST, Place, Span, versions
from fhir_server.store.resources import Row

RIGHT = "purge"

_SPEAKING = (("Provenance", "target"), ("AuditEvent", "entity"), ("Binary", "security-context"))
_BINARY = re.compile(rb"\bBinary/[A-Za-z0-9\-.]{1,64}")


def purge(context: Context, fid: str) -> dict[str, int]:
    """The number of resources removed, by type.

    Forbidden without the right `purge` or a scope to delete every type, NotFound for a Patient that is absent or
    hidden, BusinessRule for another's; what else `Hooks.on_purge` refuses.
    """
    context.require("d", "*")
    if RIGHT not in context.caller.rights:
        raise Forbidden("This client has not the right to remove records for good.")

    def work(transaction: Transaction) -> tuple[dict[str, int], Purged]:
        inner = transaction.context
        current = resources.read(transaction.connection, inner.visible("d"), "Patient", fid)
        if current is None:
            raise NotFound("There is no such resource.")
        if current.owner != inner.caller.org_hash or current.view:
            raise BusinessRule("Only the organization that wrote a Patient removes it for good.")
        return _purged(transaction, current)

    told, gone = context.transact(work)
    for remove in context.engine.hooks.after_purge:
        remove(context, gone)
    return told


def purge_rest(context: Context, patient: int) -> int:
    """Remove what the caller's organization owns of a Patient (by its hash) that was purged; the number of resources.

    Another transaction may have been open when the record was removed, and have written of the Patient. Nothing is
    removed if the Patient's id was taken again: then this is another record.
    """

    def work(transaction: Transaction) -> int:
        view, owner = transaction.context.visible("d"), transaction.context.caller.org_hash
        rows = purging.owned(transaction.connection, view, patient, owner)
        if any(row.rh == patient for row in rows):
            return 0
        if rows:
            changes = [_gone(transaction, row) for row in rows]
            transaction.flush()
            purging.erase(transaction.connection, rows)
            idempotency.forget(transaction.connection, {row.fid for row in rows})
            transaction.audit("purge", 200, changes)
        return len(rows)

    return context.transact(work)


def _purged(transaction: Transaction, patient: Row) -> tuple[dict[str, int], Purged]:
    connection, params = transaction.connection, transaction.context.engine.params
    lock_keys(connection, [patient.rh])  # a first referral for it leaves no contact view behind
    was = list(_versions(transaction, patient))
    rows = _with_companions(transaction, patient)
    changes = [_gone(transaction, row) for row in rows]
    transaction.flush()
    attached = _attached(transaction, patient, rows)
    changes += [_gone(transaction, row) for row in attached]
    transaction.flush()
    rows += attached
    purging.erase(connection, rows)
    purging.forget(connection, patient.rh, params["Group", "member"])
    gone = Purged(patient, was, frozenset(row.fid for row in rows))
    idempotency.forget(connection, gone.ids)
    purging.note_words(connection)
    for remove in transaction.context.engine.hooks.on_purge:
        remove(transaction, gone)
    transaction.audit("purge", 200, changes)
    found = [change.type for change in changes]
    return {type_: found.count(type_) for type_ in sorted(set(found))}, gone


def _versions(transaction: Transaction, patient: Row) -> Iterator[Mapping[str, Any]]:
    """Every version of the Patient: its identifiers may have changed."""
    after, view = Place(), transaction.context.visible("d")
    while page := versions(transaction.connection, view, "Patient", patient.rid, Span(), after, LARGEST):
        after = Place(page[-1].ts, page[-1].rid, page[-1].ver)
        yield from (wire.parse(row.body) for row in page if row.body)


def _with_companions(transaction: Transaction, patient: Row) -> list[Row]:
    """The record, and what speaks of nothing but it: a Provenance has no patient of its own."""
    context, connection = transaction.context, transaction.connection
    view = context.visible("d")
    rows = purging.owned(connection, view, patient.rh, patient.owner)
    params = [context.engine.params[place] for place in _SPEAKING if place in context.engine.params]
    return rows + purging.speaking_of(connection, view, patient.owner, {row.rh for row in rows}, params)


def _attached(transaction: Transaction, patient: Row, rows: Sequence[Row]) -> list[Row]:
    """The Binaries that the record has as attachments, and nothing else has."""
    engine, removed = transaction.context.engine, {row.rh for row in rows}
    view, rids = transaction.context.visible("d"), [row.rid for row in rows]
    bodies = [row.body for row in rows] + purging.former_bodies(transaction.connection, view, rids)
    names = {name.decode() for body in bodies for name in _BINARY.findall(body)}
    hashes = {rh(name): name for name in names}
    return purging.attached(
        transaction.connection,
        view,
        patient.owner,
        {number: name for number, name in hashes.items() if number not in removed},
        engine.params["DocumentReference", "location"],
        engine.settings.base_url.rstrip("/") + "/",
    )


def _gone(transaction: Transaction, row: Row) -> Change:
    """Take back what a resource gave to others and where it is found."""
    type_ = type_names()[row.type]
    last = row._replace(deleted=True, body=b"")
    change = Change("delete", type_, last, {}, row, {} if row.deleted else wire.parse(row.body))
    if not row.deleted:
        access_rows.apply(transaction, change)
    if "contained" in (change.old or {}):
        index_rows.change_contained(transaction, row, {})
    index_rows.anew(transaction, last, type_, {})
    if type_ == "Patient":
        index_rows.anew(transaction, last._replace(rid=row.rid + 1, view=1), type_, {})
    return change
