"""Labels found anew in stored bodies, by the code lists and the registered law classes there are now (R17).

A label is added and never taken away: nobody can tell any more which one a person gave by hand. Bodies are read in the
view of the organization that owns them; nothing of them goes out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Select, bindparam, select

from fhir_server.access import inputs
from fhir_server.access.consent import directives_of
from fhir_server.access.contact import contact_view
from fhir_server.access.predicate import Visible
from fhir_server.access.relations import Directive
from fhir_server.engine import access_rows, contact_rows, inheriting
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Context, Transaction
from fhir_server.engine.labelling import labels, labels_of_contact
from fhir_server.engine.walking import CHUNK, Place, beyond, owner_caller, view_of
from fhir_server.fhir.definitions import type_names
from fhir_server.fhir.errors import BusinessRule
from fhir_server.store import amending, history
from fhir_server.store.db import lock_keys
from fhir_server.store.resources import Row, from_columns
from fhir_server.store.statements import Statements


class Finding(NamedTuple):
    """A row and what its versions call for: label bits of the resource and of a Patient's contact view, and whether a
    Consent says something else than its directives.
    """

    row: Row
    bits: int
    contact: int
    says_else: bool

    @property
    def is_due(self) -> bool:
        """Whether something may be left to do; the labels of a contact view are looked at when they are written."""
        return bool(self.bits & ~self.row.labels) or bool(self.contact) or self.says_else


def look(context: Context, after: Place) -> tuple[list[Finding], Place | None]:
    """What up to 100 rows of one type call for, beyond a place; and the next place, None at the end of the walk."""
    rows, place = beyond(context, after, _rows)
    if not rows:
        return [], place
    reading = Transaction(context, context.connection)
    law_class = reading.law_class_of(after.owner) or "covered"
    reading.context = replace(context, caller=owner_caller(after.owner, law_class))
    return [_finding(reading, row) for row in rows], place


def _rows(context: Context, after: Place) -> list[Row]:
    view, type_ = view_of(context, after.owner), type_names()[after.type]
    statement = _statements.of((view.shape, type_), partial(_select, view, type_))
    bound = {**view.binds, "owner": after.owner, "rid": after.rid}
    return [from_columns(row) for row in statement.rows(context.connection, bound)]


def _select(view: Visible, type_: str) -> Select[Any]:
    """Deleted ones too: their versions are there, and so is what they would be brought back with."""
    r = view("r", of=type_)
    which = (r.c.owner == bindparam("owner"), r.c.rid > bindparam("rid"), r.c.view == 0)
    return select(*[r.c[name] for name in Row._fields]).where(*which).order_by(r.c.rid).limit(CHUNK)


_statements = Statements()


def _finding(reading: Transaction, row: Row) -> Finding:
    """Of all versions together: who may not see the current one sees none."""
    type_, bits, contact = type_names()[row.type], 0, 0
    for version in _versions(reading, row):
        resource = orjson.loads(version.body)
        bits |= labels(reading, type_, resource)
        if type_ == "Patient":
            contact |= labels_of_contact(reading, resource, contact_view(resource))
    says_else = type_ == "Consent" and not row.deleted and _says_else(reading, row)
    return Finding(row, bits, contact, says_else)


def _versions(reading: Transaction, row: Row) -> Iterator[Row]:
    if row.ver == 1:
        yield row
        return
    view, after = view_of(reading.context, row.owner), history.Place()
    type_, span = type_names()[row.type], history.Span()
    while found := history.versions(reading.connection, view, type_, row.rid, span, after, history.LARGEST):
        yield from (one for one in found if not one.deleted)
        last = found[-1]
        after = history.Place(last.ts, last.rid, last.ver)


def _says_else(reading: Transaction, row: Row) -> bool:
    engine = reading.context.engine
    wanted = directives_of(orjson.loads(row.body), row.rh, engine.settings.zone, engine.hooks.membership)
    known = inputs.inputs(reading.connection, [row.patient])[row.patient].directives if row.patient else ()
    return set(map(_said, wanted)) != {_said(one) for one in known if one.consent == row.rh}


def _said(one: Directive) -> tuple[Any, ...]:
    return one.patient, one.recipient, one.purpose, one.classes, one.effect, one.begins, one.ends


def raise_labels(transaction: Transaction, findings: list[Finding]) -> int:
    """Add the labels to these rows, to their contact views and to what inherits from them; how many resources changed.

    Directives of Consents follow, and with them the access to their patients.
    """
    raised = {one.row.rid for one in findings if _raise(transaction, one)}
    if shown := [one for one in findings if one.contact]:
        lock_keys(transaction.connection, [one.row.rh for one in shown])
        raised |= {one.row.rid for one in shown if contact_rows.label(transaction, one.row, one.contact)}
    changed = [one for one in findings if one.row.rid in raised]
    entities = [[type_names()[one.row.type], one.row.fid, one.row.ver, one.row.patient, one.row.labels | one.bits]
                for one in changed]  # fmt: skip
    if entities:
        transaction.events.append(transaction.context.event("relabel", 200, entities))
    return len(changed)


def _raise(transaction: Transaction, finding: Finding) -> bool:
    row, connection = finding.row, transaction.connection
    changed = amending.relabel(connection, row.rid, row.part, finding.bits)
    if changed:
        inheriting.spread(transaction, row.rh, row.labels, row.labels | finding.bits)
    return (finding.says_else and _read_again(transaction, row)) or changed


def _read_again(transaction: Transaction, row: Row) -> bool:
    """Put what a Consent says now in place of its directives; a denial that would become narrower stays as it was."""
    resource = orjson.loads(row.body)
    try:
        access_rows.apply(transaction, Change("relabel", "Consent", row, resource, row, resource))
    except BusinessRule:
        return False
    return True
