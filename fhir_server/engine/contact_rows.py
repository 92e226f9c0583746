"""Contact views of Patients: made when somebody is first shown one, and in step with the Patient from then on.

One that bears a label is made at once: who wrote, and what was registered of the source, cannot be asked again later.
So what is not there never had a label. All is done at the end of the transaction, under the Patients' keys: of a
Patient's write and the first referral for it that come together, the second sees what the first one did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Select, bindparam, select

from fhir_server.access.contact import contact_view
from fhir_server.access.predicate import Visible
from fhir_server.engine import index_rows
from fhir_server.engine.changes import Change
from fhir_server.engine.contacts import Contacts, Written
from fhir_server.engine.context import Transaction
from fhir_server.engine.labelling import labels_of_contact
from fhir_server.engine.walking import view_of
from fhir_server.fhir import wire
from fhir_server.store import amending, contacts, resources
from fhir_server.store.contacts import Past
from fhir_server.store.db import lock_keys
from fhir_server.store.resources import Row, from_columns
from fhir_server.store.statements import Statements


def follow(transaction: Transaction, what: Change) -> None:
    """Note that a Patient is written."""
    known = transaction.contacts.written.get(what.row.rh)
    labels = known.labels if known else 0
    if what.row.labels or what.row.deleted:  # a part says nothing of sensitivity that the whole does not say
        labels |= labels_of_contact(transaction, what.resource, contact_view(what.resource))
    transaction.contacts.written[what.row.rh] = Written(known.first if known else what, what, labels)


def settle(transaction: Transaction) -> None:
    """Do now what is due so far, for what this transaction reads from here on."""
    if transaction.contacts.sought:
        lock_keys(transaction.connection, transaction.contacts.sought)
    if transaction.contacts.written or transaction.contacts.shown:
        keep(transaction)
        transaction.flush()


def keep(transaction: Transaction) -> None:
    """Bring contact views in line with what was done; the keys of `sought` are held."""
    todo, transaction.contacts = transaction.contacts, Contacts()
    older = [one.last.row.rid + 1 for one in todo.written.values() if one.first.before is not None]
    standing = contacts.retire(transaction.connection, older) if older else {}
    for patient, one in todo.written.items():
        if patient in standing:
            _succeed(transaction, one, standing[patient])
        elif one.labels or patient in todo.shown:
            _begin(transaction, one.last.row, one.last.resource, one.labels)
    _make(transaction, todo.shown - todo.written.keys())


def label(transaction: Transaction, patient: Row, labels: int) -> bool:
    """Add labels to the contact view of a stored Patient, whose key is held; False if it has them all."""
    settle(transaction)
    if not labels or amending.relabel(transaction.connection, patient.rid + 1, patient.part, labels):
        return bool(labels)
    made = _make(transaction, {patient.rh}, labels)
    transaction.flush()
    return made


def _make(transaction: Transaction, patients: set[int], labels: int = 0) -> bool:
    """Make the contact views that these stored Patients lack; False if they lack none."""
    lacking = contacts.lacking(transaction.connection, patients) if patients else {}
    for patient, owner in sorted(lacking.items()):
        for row in _stored(transaction, patient, owner):
            _begin(transaction, row, {} if row.deleted else wire.parse(row.body), labels)
    return bool(lacking)


def _begin(transaction: Transaction, patient: Row, resource: Mapping[str, Any], labels: int) -> None:
    view = contact_view(resource)
    row = _row(transaction, patient, view, labels)
    resources.insert(transaction.batch, row)
    if not row.deleted:
        index_rows.add(transaction, row, "Patient", view)


def _succeed(transaction: Transaction, one: Written, past: Past) -> None:
    view = contact_view(one.last.resource)
    row = _row(transaction, one.last.row, view, one.labels)
    before = row._replace(ver=past.ver, deleted=past.deleted, gen=past.gen)
    contacts.succeed(transaction.connection, row)
    old = contact_view(one.first.old or {})
    index_rows.change(transaction, replace(one.last, row=row, resource=view, before=before, old=old))


def _row(transaction: Transaction, patient: Row, view: Mapping[str, Any], labels: int) -> Row:
    body = b"" if patient.deleted else wire.dump(view, patient.fid, patient.ver, patient.ts)
    generation = transaction.context.engine.extractor.generation("Patient")
    return patient._replace(rid=patient.rid + 1, view=1, labels=labels, gen=generation, body=body)


def _stored(transaction: Transaction, patient: int, owner: int) -> list[Row]:
    """The Patient as it is now, in the view of its owner: who refers it may have lost sight of it this very moment."""
    view = view_of(transaction.context, owner)
    statement = _statements.of(view.shape, partial(_of_hash, view))
    return [from_columns(row) for row in statement.rows(transaction.connection, {**view.binds, "rh": patient})]


def _of_hash(view: Visible) -> Select[Any]:
    r = view("r")  # the hash is of a Patient's reference; with a type beside it SQLite would walk all of that type
    return select(*[r.c[name] for name in Row._fields]).where(r.c.rh == bindparam("rh"), r.c.view == 0)


_statements = Statements()
