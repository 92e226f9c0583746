"""One database transaction of one caller: what it changed, and what must be written beside it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from fhir_server.engine import access_rows, audit, inheriting, referrers
from fhir_server.engine.audit import Event
from fhir_server.engine.contacts import Contacts
from fhir_server.engine.context import Context
from fhir_server.engine.labelling import OPERATOR, law_classes
from fhir_server.store import merges
from fhir_server.store.db import lock_keys
from fhir_server.store.hashing import rh
from fhir_server.store.resources import TENANT, Row
from fhir_server.store.rows import Batch
from fhir_server.store.tables import outbox

T = TypeVar("T")
log = structlog.get_logger()


@dataclass(slots=True)
class Change:
    """One resource created, updated or deleted: its new row and resource, and what they replace."""

    interaction: str
    type: str
    row: Row
    resource: Mapping[str, Any]
    before: Row | None = None
    old: Mapping[str, Any] | None = None

    @property
    def reference(self) -> str:
        """Type/id."""
        return f"{self.type}/{self.row.fid}"


@dataclass
class Transaction:
    """The open transaction: rows are gathered in `batch` and reach the database with `flush`."""

    context: Context
    connection: Connection
    batch: Batch = field(default_factory=Batch)
    changes: list[Change] = field(default_factory=list)
    written: dict[int, int] = field(default_factory=dict)  # reference hash -> labels
    promised: set[int] = field(default_factory=set)  # what later entries of the same Bundle will write
    seen: dict[int, int] = field(default_factory=dict)  # targets of references, visible to the caller -> labels
    touched_patients: set[int] = field(default_factory=set)
    contacts: Contacts = field(default_factory=Contacts)
    events: list[Event] = field(default_factory=list)
    marks: set[str] = field(default_factory=set)  # what a guest does in this transaction, for its own gates
    held_keys: dict[tuple[int, int, str], str | None] = field(default_factory=dict)  # identities looked up before
    _law_classes: dict[int, str] | None = None

    def law_class_of(self, organization: int) -> str | None:
        """The registered law class of an organization, by its hash; None if it has no client."""
        if self._law_classes is None:
            self._law_classes = law_classes(self.connection)
        return self._law_classes.get(organization)

    def speaks_for(self, owner: int, organization: str) -> bool:
        """Whether what `owner` wrote of an organization is its own word, or that of the exchange's operator."""
        return owner == rh(organization) or self.law_class_of(owner) == OPERATOR

    def flush(self) -> None:
        """Send what has been gathered, so that later statements of this transaction see it."""
        self.batch.flush(self.connection)

    def record(self, change: Change) -> None:
        """Take note of a change: its consequences for access, the outbox and the audit trail."""
        self.changes.append(change)
        self.written[change.row.rh] = change.row.labels
        if change.before is not None:
            inheriting.spread(self, change.row.rh, change.before.labels, change.row.labels)
        access_rows.apply(self, change)
        for hook in self.context.engine.hooks.in_transaction:
            hook(self, change)
        row = change.row
        self.batch.add(outbox, TENANT, row.part, row.rid, row.ver, row.type, row.fid, change.interaction, row.ts)

    def audit(self, interaction: str, status: int, changes: list[Change]) -> None:
        """Add the audit event of these changes; it is stored with them or not at all."""
        entities = [[change.reference, change.row.ver, change.row.patient, change.row.labels] for change in changes]
        self.events.append(event(self.context, interaction, status, entities))

    def _born(self) -> set[int]:
        """The Patients that this transaction made: nobody has merged them yet."""
        return {change.row.rh for change in self.changes if change.type == "Patient" and change.before is None}

    def finish(self) -> None:
        """Write everything that must stand beside the changes."""
        from fhir_server.engine import contact_rows  # noqa: PLC0415 - it works on transactions

        removed = [change for change in self.changes if change.interaction == "delete"]
        if removed and self.context.engine.settings.delete_referenced == "refuse":
            self.flush()
            referrers.require_none(self, removed)
        links = merges.links(self.connection, self.touched_patients - self._born())
        self.touched_patients |= {patient for link in links for patient in link[:2]}
        if held := self.touched_patients | self.contacts.sought:
            lock_keys(self.connection, held)  # who comes second must see what the first one wrote
        if self.touched_patients:
            self.flush()
            access_rows.recompute(self, links)
        contact_rows.keep(self)
        audit.add(self.batch, self.connection, self.context.engine.secret, self.events)
        self.flush()


def event(context: Context, interaction: str, status: int, entities: list[Any], query: str = "") -> Event:
    """The audit event of what this caller does now."""
    caller = context.caller
    at = context.now * 1000
    return Event(
        at, context.request_id, interaction, status, caller.client, caller.org_hash, caller.purpose,
        context.address, entities, query,
    )  # fmt: skip


def run(context: Context, work: Callable[[Transaction], T]) -> T:
    """Run `work` in a new transaction, from zero if it must be repeated, and tell `after_commit` when it is durable."""
    done: list[Transaction] = []

    def once(connection: Connection) -> T:
        fresh = context.again()
        transaction = Transaction(fresh, connection)
        fresh.transaction = transaction
        try:
            result = work(transaction)
            transaction.finish()
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
