"""A walk over all resources, for work that is done to each: one owner after another, type by type, in the owner's view.

Nothing of what is read goes out. A place on the way is a few numbers, so that a job can go on from it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, func, select

from fhir_server.access.caller import Caller
from fhir_server.access.predicate import Visible
from fhir_server.access.scopes import parse
from fhir_server.engine.context import Context
from fhir_server.store import rights
from fhir_server.store.resources import Row
from fhir_server.store.statements import Statements

CHUNK = 100

_EVERY_TYPE = parse("system/*.r")


class Place(NamedTuple):
    """How far a walk has come: the owner and type it is at, and the last row looked at."""

    owner: int = -(2**63)
    type: int = -1
    rid: int = 0


Rows = Callable[[Context, Place], list[Row]]


def beyond(context: Context, after: Place, rows_of: Rows) -> tuple[list[Row], Place | None]:
    """What `rows_of` finds of one owner and type beyond a place, up to CHUNK rows by rid; and the next place.

    None as the place says that the walk has come to its end.
    """
    if after.type < 0:
        owner = rights.next_owner(context.connection, after.owner)
        return [], None if owner is None else _next_type(context, Place(owner))
    rows = rows_of(context, after)
    return rows, after._replace(rid=rows[-1].rid) if len(rows) == CHUNK else _next_type(context, after)


def _next_type(context: Context, after: Place) -> Place:
    view = view_of(context, after.owner)
    statement = _statements.of(("next type", view.shape), partial(_least_type, view))
    rows = statement.rows(context.connection, {**view.binds, "owner": after.owner, "type": after.type})
    return Place(after.owner, -1 if rows[0][0] is None else int(rows[0][0]))


def _least_type(view: Visible) -> Select[Any]:
    r = view("r")
    return select(func.min(r.c.type)).where(r.c.owner == bindparam("owner"), r.c.type > bindparam("type"))


_statements = Statements()


def owner_caller(owner: int, law_class: str = "covered") -> Caller:
    """An organization, by its hash, as the reader of what it owns."""
    return Caller("", "", owner, law_class, _EVERY_TYPE, "TREAT")


def view_of(context: Context, owner: int) -> Visible:
    """What an organization sees of what it owns: all of it."""
    return Visible(owner_caller(owner), context.now, "r")
