"""A patient's record removed for good: what its owner wrote, every version of it. The audit trail stays.

What other organizations wrote about the patient is theirs and stays with them.
"""

from __future__ import annotations

from fhir_server.engine import access_rows, index_rows
from fhir_server.engine.context import Context
from fhir_server.engine.transaction import Change, Transaction
from fhir_server.fhir import wire
from fhir_server.fhir.definitions import type_names
from fhir_server.fhir.errors import BusinessRule, Forbidden, NotFound
from fhir_server.store import purging, resources
from fhir_server.store.db import lock_keys
from fhir_server.store.resources import Row

RIGHT = "purge"


def purge(context: Context, fid: str) -> dict[str, int]:
    """The number of resources removed, by type.

    Forbidden without the right `purge`, NotFound for a Patient that is absent or hidden, BusinessRule for another's.
    """
    context.require("d", "Patient")
    if RIGHT not in context.caller.rights:
        raise Forbidden("This client has not the right to remove records for good.")

    def work(transaction: Transaction) -> dict[str, int]:
        inner = transaction.context
        current = resources.read(transaction.connection, inner.visible("d"), "Patient", fid)
        if current is None:
            raise NotFound("There is no such resource.")
        if current.owner != inner.caller.org_hash or current.view:
            raise BusinessRule("Only the organization that wrote a Patient removes it for good.")
        return _purged(transaction, current)

    return context.transact(work)


def _purged(transaction: Transaction, patient: Row) -> dict[str, int]:
    view = transaction.context.visible("d")
    lock_keys(transaction.connection, [patient.rh])  # a first referral for it leaves no contact view behind
    rows = purging.owned(transaction.connection, view, patient.rh, patient.owner)
    changes = [_gone(transaction, row) for row in rows]
    transaction.flush()
    purging.erase(transaction.connection, rows)
    purging.forget(transaction.connection, patient.rh, transaction.context.engine.params["Group", "member"])
    transaction.audit("purge", 200, changes)
    found = [change.type for change in changes]
    return {type_: found.count(type_) for type_ in sorted(set(found))}


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
