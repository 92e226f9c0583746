"""How a transaction runs: what is written beside each change and at its end, once more from zero where it collides."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from fhir_server.engine import access_rows, audit, contact_rows, inheriting, referrers
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Context, Transaction
from fhir_server.store import merges
from fhir_server.store.db import lock_keys
from fhir_server.store.resources import TENANT
from fhir_server.store.tables import outbox

T = TypeVar("T")
log = structlog.get_logger()


def record(transaction: Transaction, change: Change) -> None:
    """Take note of a change: its consequences for access, the outbox and the audit trail."""
    transaction.changes.append(change)
    transaction.written[change.row.rh] = change.row.labels
    if change.before is not None:
        inheriting.spread(transaction, change.row.rh, change.before.labels, change.row.labels)
    access_rows.apply(transaction, change)
    for hook in transaction.context.engine.hooks.in_transaction:
        hook(transaction, change)
    row = change.row
    transaction.batch.add(outbox, TENANT, row.part, row.rid, row.ver, row.type, row.fid, change.interaction, row.ts)


def _born(transaction: Transaction) -> set[int]:
    """The Patients that this transaction made: nobody has merged them yet."""
    return {change.row.rh for change in transaction.changes if change.type == "Patient" and change.before is None}


def finish(transaction: Transaction) -> None:
    """Write everything that must stand beside the changes."""
    removed = [change for change in transaction.changes if change.interaction == "delete"]
    if removed and transaction.context.engine.settings.delete_referenced == "refuse":
        transaction.flush()
        referrers.require_none(transaction, removed)
    links = merges.links(transaction.connection, transaction.touched_patients - _born(transaction))
    transaction.touched_patients |= {patient for link in links for patient in link[:2]}
    if held := transaction.touched_patients | transaction.contacts.sought:
        lock_keys(transaction.connection, held)  # who comes second must see what the first one wrote
    if transaction.touched_patients:
        transaction.flush()
        access_rows.recompute(transaction, links)
    contact_rows.keep(transaction)
    audit.add(transaction.batch, transaction.connection, transaction.context.engine.secret, transaction.events)
    transaction.flush()


def run(context: Context, work: Callable[[Transaction], T]) -> T:
    """Run `work` in a new transaction, from zero if it must be repeated, and tell `after_commit` when it is durable."""
    done: list[Transaction] = []

    def once(connection: Connection) -> T:
        fresh = context.again()
        transaction = Transaction(fresh, connection)
        fresh.transaction = transaction
        try:
            result = work(transaction)
            finish(transaction)
        finally:
            fresh.transaction = None  # the two refer to each other: now they go as soon as nobody needs them
        done.append(transaction)
        return result

    with uncollected():
        result = context.engine.database.write(once)
        _tell(context, done.pop().changes)
    return result


@contextmanager
def uncollected() -> Iterator[None]:
    """The garbage collector waits: it would walk all that is built here, again and again, and find no garbage."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Rehearsed(Exception):
    """Raised at the end of a rehearsal, so that nothing of it is kept."""


def rehearse(context: Context, work: Callable[[Context], object]) -> None:
    """Do `work` in a transaction and take all of it back; raises what the real thing would raise."""

    def once(transaction: Transaction) -> None:
        work(transaction.context)
        transaction.flush()
        raise _Rehearsed

    try:
        run(context, once)
    except _Rehearsed:
        return


def _tell(context: Context, changes: list[Change]) -> None:
    for hook in context.engine.hooks.after_commit:
        try:
            hook(context, changes)
        except Exception:  # the write stands whatever a listener does
            log.exception("after_commit failed", request=context.request_id)
