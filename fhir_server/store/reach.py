"""What a caller is shown, as lists that an index gives: what its organization wrote, what is of patients it has or had
to do with, and what was shown to it.

Together they hold every row that its view has outside the directory.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Subquery,
    bindparam,
    case,
    func,
    literal_column,
    select,
)
from sqlalchemy.sql.selectable import CompoundSelect

from fhir_server.fhir.definitions import type_number
from fhir_server.store.resources import Visible
from fhir_server.store.statements import Statements
from fhir_server.store.tables import access, share

_statements = Statements()
_ORG = bindparam("v_org", type_=BigInteger())  # as the view itself names it


class Reach(NamedTuple):
    """How many rows there may be for a caller, counted up to a bound, and which types that everybody sees have any."""

    most: int
    public: tuple[str, ...]


def reached(connection: Connection, visible: Visible, type_: str, most: int, public: Sequence[str]) -> Reach:
    """What there is of a type, or of all for ""; of `public` types only then."""
    public = () if type_ else public
    key = visible.shape, type_, most, public
    statement = _statements.of(key, partial(_counts, visible, type_, most, public))
    counts = statement.rows(connection, visible.binds)[0]
    return Reach(max(counts[:3]), tuple(kind for kind, there in zip(public, counts[3:], strict=True) if there))


def _counts(visible: Visible, type_: str, most: int, public: Sequence[str]) -> Select[Any]:
    own, related, shown = (_count(one, most) for one in _lists(visible, type_, most))
    patients = _count(select(_patients(most).c.patient), most)
    related = case((patients >= _number(most), _number(most)), else_=related)
    there = [select(_number(1)).select_from(visible("any", of=kind)).exists() for kind in public]
    return select(own, related, shown, *there)


def _count(rows: Select[Any], most: int) -> ColumnElement[int]:
    return select(func.count()).select_from(rows.limit(_number(most)).subquery()).scalar_subquery()


def listed(visible: Visible, type_: str, most: int) -> CompoundSelect[tuple[int]]:
    """The rid of every row on one of the lists, of all types for ""; for lists that are known to be shorter."""
    own, *others = [one.limit(_number(most)).subquery() for one in _lists(visible, type_, most)]
    return select(own.c.rid).union(*[select(one.c.rid) for one in others])


def _lists(visible: Visible, type_: str, most: int) -> list[Select[tuple[int]]]:
    """No index but those of owners, patients and hashes must tempt a planner: the type leads to everybody's rows."""
    patients, row = _patients(most), visible("own")
    of = [row.c.type + _number(0) == _number(type_number(type_))] if type_ else []
    return [
        select(row.c.rid).where(row.c.owner == _ORG, *of),
        select(row.c.rid).where(row.c.patient == patients.c.patient, *of),
        select(row.c.rid).where(share.c.org == _ORG, row.c.rh == share.c.target, *of),
    ]


def _patients(most: int) -> Subquery[Any]:
    return select(access.c.patient).where(access.c.org == _ORG).limit(_number(most)).subquery()


def _number(value: int) -> ColumnElement[int]:
    return literal_column(str(value))
