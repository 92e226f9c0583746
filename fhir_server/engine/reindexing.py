"""Index rows made anew from stored bodies: for parameters that were added, and for rows of an older generation.

Bodies are read in the view of the organization that owns them, one after another; nothing of them goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Select, bindparam, exists, literal_column, or_, select

from fhir_server.access.contact import contact_view
from fhir_server.access.predicate import Visible
from fhir_server.engine import index_rows
from fhir_server.engine.context import Context, Transaction
from fhir_server.engine.walking import CHUNK, Place, beyond, view_of
from fhir_server.fhir.definitions import type_names
from fhir_server.store import resources
from fhir_server.store.resources import Row
from fhir_server.store.statements import Statements
from fhir_server.store.tables import contained


def stale(context: Context, after: Place) -> tuple[list[Row], Place | None]:
    """Up to 100 rows of one type, beyond a place, that are not indexed as they would be now; and the next place.

    None as the place says that the walk has come to its end.
    """
    return beyond(context, after, _stale)


def _stale(context: Context, after: Place) -> list[Row]:
    view, type_ = view_of(context, after.owner), type_names()[after.type]
    generation = context.engine.extractor.generation
    current = tuple(_marked(number, generation(kind)) for number, kind in sorted(type_names().items()))
    key = "stale", view.shape, type_, current
    statement = _statements.of(key, partial(_rows_of_another, view, type_, current))
    gen = generation(type_)
    bound = {**view.binds, "owner": after.owner, "rid": after.rid, "gen": gen}
    return [Row(*row) for row in statement.rows(context.connection, bound)]


def _rows_of_another(view: Visible, type_: str, current: Sequence[int]) -> Select[Any]:
    """Of another generation themselves, or with something of another one in them."""
    r = view("r", of=type_)
    mark = contained.c.type * literal_column(str(_MARK)) + contained.c.gen
    inside = mark.not_in([literal_column(str(one)) for one in current])
    held = exists(literal_column("1")).where(contained.c.holder == r.c.rid, inside).correlate(r)
    which = (r.c.owner == bindparam("owner"), r.c.rid > bindparam("rid"), or_(r.c.gen != bindparam("gen"), held))
    query = select(*[r.c[name] for name in Row._fields]).where(*which, r.c.view == 0, r.c.deleted.is_(False))
    return query.order_by(r.c.rid).limit(CHUNK)


_MARK = 1 << 15  # more than any generation


def _marked(type_: int, generation: int) -> int:
    """A type and its generation in one number."""
    return type_ * _MARK + generation


_statements = Statements()


def renew(transaction: Transaction, rows: list[Row]) -> int:
    """Index these rows anew, but for those that were written meanwhile and are indexed by that; how many it were."""
    current = [row for row in map(_numbered(transaction), rows) if resources.mark(transaction.connection, row)]
    bodies = [orjson.loads(row.body) for row in current]
    patients = [row for row in current if type_names()[row.type] == "Patient"]
    contacts = [row._replace(rid=row.rid + 1, view=1) for row in patients]
    contacts = [row for row in contacts if resources.mark(transaction.connection, row)]
    index_rows.forget(transaction, [row.rid for row in (*current, *contacts)])
    for row, body in zip(current, bodies, strict=True):
        index_rows.fill(transaction, row, type_names()[row.type], body)
        if "contained" in body:
            index_rows.change_contained(transaction, row, body)
    for contact in contacts:
        index_rows.fill(transaction, contact, "Patient", contact_view(orjson.loads(contact.body)))
    return len(current)


def _numbered(transaction: Transaction) -> Callable[[Row], Row]:
    generation = transaction.context.engine.extractor.generation
    return lambda row: row._replace(gen=generation(type_names()[row.type]))
