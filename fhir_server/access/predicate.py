"""The one predicate in SQL: every alias of the resource table is a sub-select of the rows this caller may see.

Outside store/ nothing else names the resource tables, and in this room nothing else imports SQLAlchemy. The rules
(R1-R7, R13, the run-out) are told again in `decide`, written separately, and a generated matrix compares the two.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Subquery,
    Text,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
)

from fhir_server.access.caller import Caller
from fhir_server.access.classes import ALL, COVERED
from fhir_server.access.directory import DIRECTORY_TYPES
from fhir_server.access.law import standard
from fhir_server.access.relations import ASSIGNED
from fhir_server.access.scopes import ALL as ALL_TYPES
from fhir_server.access.scopes import LETTERS
from fhir_server.fhir.definitions import type_number, type_numbers
from fhir_server.store.tables import access, contained, dat, directive, hist, param, res, runout, share

Condition = ColumnElement[bool]

_ORG: Final = bindparam("v_org", type_=BigInteger())
_PURPOSE: Final = bindparam("v_purpose", type_=Text())
_NOW: Final = bindparam("v_now", type_=BigInteger())
_ENDED_SINCE: Final = bindparam("v_ended", type_=BigInteger())
_ASSIGNED_MASK: Final = bindparam("v_assigned", type_=BigInteger())
_OF_PERSONS: Final = ("birthdate", "death-date")  # dates that say nothing of when a resource is about
_ZERO: Final = literal_column("0", BigInteger())
_ONE: Final = literal_column("1", BigInteger())
_TWO: Final = literal_column("2", BigInteger())
_CHUNK: Final = 500


class Shape(NamedTuple):
    """All that the text of the predicate depends on; equal shapes compile to equal SQL."""

    reach: str  # directory | referral | relation: how much beyond scope can be visible at all
    types: frozenset[int] | None  # numbers of the types in scope; None for every type
    outlived: bool = False  # whether assignments that ended may still show something


class Visible:
    """The rows one caller may see at one instant, for one scope letter. Without a caller it cannot be made."""

    __slots__ = ("binds", "shape")

    def __init__(self, caller: Caller | None, now_ms: int, letter: str = "r", run_out_ms: int = 0) -> None:
        """`run_out_ms`: for how long an assignment that ended shows what was recorded in its time; 0: not at all."""
        if caller is None:
            raise ValueError("No rows are visible without a caller: authenticate first.")
        if letter not in LETTERS or len(letter) != 1:
            raise ValueError(f"A scope letter is one of {LETTERS}, not {letter!r}.")
        self.shape: Shape = _shape(caller, letter)
        self.binds: Mapping[str, Any] = {"v_org": caller.org_hash, "v_purpose": caller.purpose, "v_now": now_ms}
        mask = standard()(caller.law_class, ASSIGNED, caller.purpose)
        if run_out_ms and self.shape.reach == "relation" and mask is not None:
            self.shape = self.shape._replace(outlived=True)
            self.binds = {**self.binds, "v_ended": now_ms - run_out_ms, "v_assigned": mask}

    def __call__(self, alias: str, table: FromClause = res, of: str | None = None) -> Subquery:
        """Current rows (deleted ones too: see the column `deleted`), with all columns of the table.

        `of` says that only this type is wanted, which makes for shorter SQL. The table `hist` means `history(alias)`.
        """
        if table is hist:
            return self.history(alias, of)
        row = res.alias(f"{alias}_row")
        return select(row).where(_visible(self.shape, row, of)).subquery(alias)

    def contained(self, alias: str, of: str) -> Subquery:
        """Contained resources of a type: whoever sees the resource that holds one sees it, if the type is in scope too.

        All columns of the table are the container's, but for rid, type, fid, view (2), gen, and rh (0: no reference
        leads there); `holder` is the container's rid. Nothing is contained in a contact view.
        """
        inner, row = contained.alias(f"{alias}_inner"), res.alias(f"{alias}_row")
        own = {name: inner.c[name] for name in ("rid", "type", "fid", "gen")} | {"view": _TWO, "rh": _ZERO}
        columns = [own.get(column.name, column).label(column.name) for column in row.c]
        holds = inner.join(row, and_(row.c.rid == inner.c.holder, row.c.part == inner.c.part))
        rules = _in_scope(self.shape, inner, of), _whole(self.shape, row, None)
        return select(*columns, inner.c.holder).select_from(holds).where(*rules).subquery(alias)

    def history(self, alias: str, of: str | None = None) -> Subquery:
        """Superseded versions that pass by their own labels, patient and owner, and whose current row passes (R13)."""
        row, now = hist.alias(f"{alias}_row"), res.alias(f"{alias}_now")
        same = and_(now.c.rid == row.c.rid, now.c.part == row.c.part)
        current = exists(_ONE).where(same, _visible(self.shape, now, of)).correlate(row)
        return select(row).where(_whole(self.shape, row, of), current).subquery(alias)


def _shape(caller: Caller, letter: str) -> Shape:
    numbers = _numbers(caller.scopes.types(letter))
    if not caller.clinical:
        return Shape("directory", numbers)
    return Shape("relation" if caller.law_class in COVERED else "referral", numbers)


@lru_cache(maxsize=1024)
def _numbers(types: frozenset[str]) -> frozenset[int] | None:
    """Numbers of the types in scope; a type that R4 does not have covers no row."""
    known = type_numbers()
    return None if types == ALL_TYPES else frozenset(known[name] for name in types if name in known)


# ---- the rules, as conditions on one row --------------------------------------------------------------------------


def _visible(shape: Shape, row: FromClause, of: str | None) -> Condition:
    """A current row: the resource itself, or its contact view for who may not see the resource."""
    whole = and_(row.c.view == _ZERO, _resource(shape, row, of))
    if shape.reach == "directory" or of not in (None, "Patient"):
        return and_(_in_scope(shape, row, of), whole)
    full = res.alias(f"{row.name}_full")  # type: ignore[attr-defined]
    hidden = ~exists(_ONE).where(
        full.c.rh == row.c.rh, full.c.view == _ZERO, _resource(shape, full, "Patient")
    ).correlate(row)
    contact = and_(row.c.view == _ONE, _shared(row, _ONE), hidden)
    return and_(_in_scope(shape, row, of), or_(whole, contact))


def _whole(shape: Shape, row: FromClause, of: str | None) -> Condition:
    """A row by itself, or a version. A contact view has no past: where a member lived before is nobody's errand."""
    return and_(_in_scope(shape, row, of), row.c.view == _ZERO, _resource(shape, row, of))


def _resource(shape: Shape, row: FromClause, of: str | None) -> Condition:
    """R2-R5 for the resource itself; cheap tests stand first."""
    if of is not None and of in DIRECTORY_TYPES:
        return true()
    options: list[Condition] = []
    if shape.reach != "directory":
        options.append(row.c.owner == _ORG)
    if shape.reach == "relation":
        options.append(_related(row))
    if shape.reach != "directory":
        options.append(_shared(row, _ZERO))
    if shape.outlived:
        options.append(_outlived(row))
    if of is None:
        options.append(row.c.type.in_(_literals(map(type_number, DIRECTORY_TYPES))))
    return or_(false(), *options)


def _in_scope(shape: Shape, row: FromClause, of: str | None) -> Condition:
    """R1. A type that was asked for may be found by index; the types in scope may not, or SQLite, which takes any
    index on equal columns for as good as another, would walk them instead of a posting list or a hash.
    """
    if of is not None:
        number = type_number(of)
        return row.c.type == literal_column(str(number)) if _covers(shape, number) else false()
    if shape.types is None:
        return true()
    return row.c.type.in_(_literals(shape.types)).is_(true()) if shape.types else false()


def _covers(shape: Shape, number: int) -> bool:
    return shape.types is None or number in shape.types


def _literals(numbers: Collection[int] | Any) -> list[ColumnElement[Any]]:
    return [literal_column(str(number)) for number in sorted(numbers)]


def _live(table: FromClause) -> Condition:
    return and_(table.c["from"] <= _NOW, table.c.until > _NOW)


def _within(row: FromClause, mask: ColumnElement[Any]) -> Condition:
    """Every label of the row lies in the mask."""
    return row.c.labels.bitwise_and(mask.bitwise_not()) == _ZERO


def _for_purpose(table: FromClause) -> Condition:
    return table.c.purpose.in_([_PURPOSE, literal_column("''")])


def _related(row: FromClause) -> Condition:
    """R4, R6: what relation, law and directives left in the access table."""
    granted = and_(access.c.patient == row.c.patient, access.c.org == _ORG, _for_purpose(access))
    return exists(_ONE).where(granted, _live(access), _within(row, access.c.mask)).correlate(row)


def _shared(row: FromClause, view: ColumnElement[Any]) -> Condition:
    """R5: exactly this resource was shared, the patient has not denied it since, and its giver may still see it."""
    shown = and_(share.c.target == row.c.rh, share.c.org == _ORG, share.c.view == view)
    denied = exists(_ONE).where(_denies(row)).correlate(row, share)
    held = _held(row) if view is _ZERO else true()
    return exists(_ONE).where(shown, _live(share), _within(row, share.c.mask), held, ~denied).correlate(row)


def _held(row: FromClause) -> Condition:
    """Nobody gives more than it has: what was passed on is its giver's own, or open to it at this very instant."""
    own = access.alias("given")
    given = and_(own.c.patient == row.c.patient, own.c.org == share.c.giver, _for_purpose(own))
    seen = exists(_ONE).where(given, _live(own), _within(row, own.c.mask)).correlate(row, share)
    return or_(share.c.giver.in_([_ZERO, row.c.owner]), seen)


def _outlived(row: FromClause) -> Condition:
    """The run-out: what was recorded while the caller was assigned, and is about that time, unless denied by now."""
    mine = and_(runout.c.patient == row.c.patient, runout.c.org == _ORG)
    lasts = and_(runout.c.ended <= _NOW, runout.c.ended > _ENDED_SINCE)
    denied = exists(_ONE).where(_denies(row)).correlate(row, runout)
    known = and_(row.c.ts < runout.c.before, _about_its_time(row))
    return exists(_ONE).where(mine, lasts, known, _within(row, _ASSIGNED_MASK), ~denied).correlate(row)


def _about_its_time(row: FromClause) -> Condition:
    """Of the dates by which a resource is found, some lies in the assigned time; or it has none."""
    inside = and_(dat.c.lo < runout.c.before, dat.c.hi > runout.c.since)
    dates = and_(dat.c.rid == row.c.rid, dat.c.part == row.c.part, dat.c.param == param.c.id)
    of_persons = param.c.code.in_([literal_column(f"'{code}'") for code in _OF_PERSONS])
    some = select(func.max(case((inside, _ONE), else_=_ZERO))).where(dates, ~of_persons)
    return func.coalesce(some.correlate(row, runout).scalar_subquery(), _ONE) == _ONE


def _denies(row: FromClause) -> Condition:
    everything = directive.c.classes == literal_column(str(ALL))
    return and_(
        directive.c.patient == row.c.patient,
        directive.c.effect == literal_column("'deny'"),
        directive.c.recipient.in_([_ORG, _ZERO]),
        _for_purpose(directive),
        _live(directive),
        or_(everything, directive.c.classes.bitwise_and(row.c.labels) != _ZERO),
    )


# ---- the facts that rules outside a search need -------------------------------------------------------------------


def shareable(connection: Connection, caller: Caller, now_ms: int, hashes: Collection[int], patient: int) -> set[int]:
    """Those of these reference hashes that the caller may pass on in a referral about this patient.

    What it owns or may see by a relation, of this patient's record alone; never what was only shared with it (L23).
    """
    if not caller.clinical or not hashes:
        return set()
    mine = [res.c.owner == _ORG, *([_related(res)] if caller.law_class in COVERED else [])]
    query = select(res.c.rh).where(
        res.c.rh.in_(sorted(hashes)), res.c.view == 0, res.c.deleted.is_(False), res.c.patient == patient, or_(*mine)
    )
    return set(connection.execute(query, dict(Visible(caller, now_ms).binds)).scalars())
