"""Patients' records page by page, as they are or as they were at an instant, through the caller's visible sub-select.

What was known at an instant is, of each resource, its newest version stored by then. Rights are those of now.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    func,
    literal_column,
    select,
    true,
    union_all,
)

from fhir_server.store.resources import Row, Visible, from_columns
from fhir_server.store.statements import Statements

NOW = 2**62
_SMALLEST = 16  # lists of binds have few lengths, so that few statements are compiled
_LARGEST = 8192

_statements = Statements()


def of_patients(
    connection: Connection, visible: Visible, types: Sequence[int], patients: Iterable[int], as_of: int = NOW
) -> list[Row]:
    """The undeleted rows of these types (by number) in the records of these patients, as known at `as_of`."""
    chosen = tuple(sorted(types))

    def among(row: Any, wanted: list[Any]) -> ColumnElement[bool]:
        kinds = row.c.type.in_([literal_column(str(number), BigInteger()) for number in chosen])
        return and_(row.c.patient.in_(wanted), kinds.is_(true()))  # by patient: an index on the type would walk it all

    return _each(connection, visible, ("patients", chosen), among, patients, as_of)


def by_hash(connection: Connection, visible: Visible, hashes: Iterable[int], as_of: int = NOW) -> list[Row]:
    """The undeleted rows with these reference hashes, as known at `as_of`."""
    return _each(connection, visible, "hashes", lambda row, wanted: row.c.rh.in_(wanted), hashes, as_of)


def seen(connection: Connection, visible: Visible, hashes: Iterable[int]) -> set[int]:
    """Those of these reference hashes whose resource may be seen."""
    found: set[int] = set()
    for names, bound in padded(hashes):
        statement = _statements.of(("seen", len(names), visible.shape), partial(_seen, visible, names))
        found |= {int(row[0]) for row in statement.rows(connection, {**visible.binds, **bound})}
    return found


def _seen(visible: Visible, names: Sequence[str]) -> Select[Any]:
    r = visible("r")
    return select(r.c.rh).where(r.c.rh.in_([bindparam(name) for name in names]))


Among = Callable[[Any, list[Any]], ColumnElement[bool]]


def _each(
    connection: Connection, visible: Visible, which: Hashable, among: Among, values: Iterable[int], as_of: int
) -> list[Row]:
    found: list[Row] = []
    for names, bound in padded(values):
        wanted = [bindparam(name, type_=BigInteger()) for name in names]
        build = partial(_now if as_of == NOW else _then, visible, among, wanted)
        statement = _statements.of((which, len(names), as_of == NOW, visible.shape), build)
        given = {**visible.binds, **bound} if as_of == NOW else {**visible.binds, **bound, "as_of": as_of}
        found += [from_columns(row) for row in statement.rows(connection, given)]
    return found


def _now(visible: Visible, among: Among, wanted: list[Any]) -> Select[Any]:
    r = visible("r")
    return select(*[r.c[name] for name in Row._fields]).where(among(r, wanted), r.c.deleted.is_(False))


def _then(visible: Visible, among: Among, wanted: list[Any]) -> Any:
    """Current rows that are old enough; of the others the newest version that is."""
    r, h, as_of = visible("r"), visible.history("h"), bindparam("as_of", type_=BigInteger())
    current = select(*[r.c[name] for name in Row._fields]).where(
        among(r, wanted), r.c.deleted.is_(False), r.c.ts <= as_of
    )
    changed = visible("n")
    newer = select(changed.c.rid, changed.c.part).where(among(changed, wanted), changed.c.ts > as_of).cte("newer")
    place = func.row_number().over(partition_by=h.c.rid, order_by=h.c.ver.desc()).label("place")
    ranked = (
        select(*[h.c[name] for name in Row._fields], place)
        .select_from(newer.join(h, and_(h.c.rid == newer.c.rid, h.c.part == newer.c.part)))
        .where(h.c.ts <= as_of)
        .subquery("ranked")
    )
    past = select(*[ranked.c[name] for name in Row._fields]).where(ranked.c.place == 1, ranked.c.deleted.is_(False))
    return union_all(current, past)


def padded(values: Iterable[int]) -> Iterable[tuple[list[str], dict[str, int]]]:
    """The values in lists of few lengths: (names of binds, their values); the last value fills up."""
    wanted = sorted(set(values))
    for start in range(0, len(wanted), _LARGEST):
        some = wanted[start : start + _LARGEST]
        size = max(_SMALLEST, 1 << (len(some) - 1).bit_length())
        names = [f"w{number}" for number in range(size)]
        yield names, dict(zip(names, some + [some[-1]] * (size - len(some)), strict=True))
