"""A patient's compartment page by page, through the caller's visible sub-select.

Almost every resource names one patient, which its row says; what names several (its row says none) is found by the
references that put it into the compartment.  https://hl7.org/fhir/R4/compartmentdefinition-patient.html
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    and_,
    bindparam,
    exists,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)

from fhir_server.store.records import padded
from fhir_server.store.resources import Row, Visible, from_columns
from fhir_server.store.statements import Statement, Statements
from fhir_server.store.tables import dat, ref

_statements = Statements()


class Wanted(NamedTuple):
    """What of a compartment: types by number, the parameters of membership and of dates, and whether dates count.

    `dated` says that only care within [start, end) is wanted; what has no such date is kept.
    """

    types: tuple[int, ...]
    memberships: tuple[int, ...]
    dates: tuple[int, ...]
    dated: bool = False
    since: int = 0
    start: int = -(2**62)
    end: int = 2**62


class Place(NamedTuple):
    """Where a walk is: in what names this patient alone (0), or several (1); behind which type and row."""

    phase: int = 0
    type: int = 0
    rid: int = -(2**62)


def page(
    connection: Connection, visible: Visible, patient: int, wanted: Wanted, after: Place, limit: int
) -> list[tuple[Place, Row]]:
    """Up to `limit` undeleted rows behind `after`, each with its place."""
    found: list[tuple[Place, Row]] = []
    for phase, build in enumerate((_alone, _among)):
        if phase < after.phase or not wanted.types:
            continue
        start = after if phase == after.phase else Place(phase)
        left = limit - len(found)
        values = {
            **visible.binds, "patient": patient, "type_": start.type, "rid_": start.rid, "most": left,
            "since": wanted.since, "start": wanted.start, "end": wanted.end,
        }  # fmt: skip
        rows = _statement((phase, *wanted[:4]), visible, partial(build, wanted)).rows(connection, values)
        found += [(Place(phase, row[3], row[2]), from_columns(row)) for row in rows]
        if len(found) >= limit:
            break
    return found


def referred(
    connection: Connection, visible: Visible, rids: Iterable[int], types: Sequence[int], since: int
) -> list[Row]:
    """The undeleted rows of these types that rows refer to, each once."""
    found: dict[int, Row] = {}
    for names, bound in padded(rids) if types else ():

        def build(shown: Visible, names: list[str] = names) -> Select[Any]:
            r, link = shown("r"), ref.alias("link")
            starts = [bindparam(name, type_=BigInteger()) for name in names]
            targets = select(link.c.tgt).where(link.c.rid.in_(starts)).distinct().subquery("t")
            return (
                select(*[r.c[name] for name in Row._fields])
                .select_from(targets.join(r, r.c.rh == targets.c.tgt))
                .where(r.c.deleted.is_(False), _is_one_of(r, types), r.c.ts >= bindparam("since"))
            )

        statement = _statement(("referred", tuple(types), len(names)), visible, build)
        for row in statement.rows(connection, {**visible.binds, **bound, "since": since}):
            found.setdefault(row[2], from_columns(row))
    return list(found.values())


def _alone(wanted: Wanted, visible: Visible) -> Select[Any]:
    r = visible("r")
    return _page_of(select(*[r.c[name] for name in Row._fields]).where(r.c.patient == _PATIENT), r, wanted)


def _among(wanted: Wanted, visible: Visible) -> Select[Any]:
    """What refers to the patient by a parameter of the compartment, and belongs to no single patient."""
    r, link = visible("r"), ref.alias("link")
    which = link.c.param.in_(_numbers(wanted.memberships) or [literal_column("0", Integer())])
    linked = select(link.c.rid, link.c.part).where(which, link.c.tgt == _PATIENT).distinct().subquery("linked")
    joined = linked.join(r, and_(r.c.rid == linked.c.rid, r.c.part == linked.c.part))
    query = select(*[r.c[name] for name in Row._fields]).select_from(joined).where(r.c.patient.is_(None))
    return _page_of(query, r, wanted)


def _page_of(query: Select[Any], r: Any, wanted: Wanted) -> Select[Any]:
    behind = tuple_(r.c.type, r.c.rid) > tuple_(
        bindparam("type_", type_=BigInteger()), bindparam("rid_", type_=BigInteger())
    )
    rules = [behind, r.c.deleted.is_(False), _is_one_of(r, wanted.types), r.c.ts >= bindparam("since")]
    if wanted.dated:
        rules.append(_within(r, wanted.dates))
    return query.where(*rules).order_by(r.c.type, r.c.rid).limit(bindparam("most"))


def _is_one_of(r: Any, types: Sequence[int]) -> ColumnElement[bool]:
    """By patient or hash, never by an index on the type, which would walk it all."""
    found: ColumnElement[bool] = r.c.type.in_(_numbers(types)).is_(true())
    return found


def _within(r: Any, dates: Sequence[int]) -> ColumnElement[bool]:
    """Care that overlaps the span, and what has no date."""
    mine = and_(dat.c.rid == r.c.rid, dat.c.param.in_(_numbers(dates)))
    one = literal_column("1", Integer())
    overlapping = and_(mine, dat.c.lo < bindparam("end"), dat.c.hi > bindparam("start"))
    return or_(~exists(one).where(mine).correlate(r), exists(one).where(overlapping).correlate(r))


def _numbers(values: Sequence[int]) -> list[Any]:
    return [literal_column(str(value), BigInteger()) for value in values]


def _statement(which: Hashable, visible: Visible, build: Callable[[Visible], Any]) -> Statement:
    return _statements.of((which, visible.shape), partial(build, visible))


_PATIENT = bindparam("patient", type_=BigInteger())
