"""A resource's rows in the posting lists: added with it, and changed by their difference."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Insert, Table, bindparam, delete, insert, literal, select

from fhir_server.engine import contained_rows
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Transaction
from fhir_server.search.extract import IndexRows, inside
from fhir_server.store import contained
from fhir_server.store.members import LAST
from fhir_server.store.resources import TENANT, Row
from fhir_server.store.tables import comp, dat, geo, member, num, qty, ref, string, tok, uri
from fhir_server.store.tables.full_text import words

Ahead = tuple[IndexRows, int]  # index rows and their generation

LISTS: tuple[Table, ...] = (tok, string, dat, ref, uri, num, qty, comp, geo)  # in the order of IndexRows
_WITH_ONE, _WITH_TWO = 2, 3  # members of a row with one value, or two; the tightest loops of a write are theirs
_ALL_OF = [
    *[delete(table).where(table.c.rid.in_(bindparam("rids", expanding=True))) for table in LISTS],
    delete(words).where(words.c.rowid.in_(bindparam("rids", expanding=True))),
]


def add(
    transaction: Transaction, row: Row, type_: str, resource: Mapping[str, Any], ahead: Ahead | None = None
) -> None:
    """Index a new resource, and what it contains; `ahead`: its rows made before, and of which generation."""
    _add(transaction, row, type_, resource, ahead)
    if "contained" in resource:
        _add_each(transaction, contained_rows.put(transaction, row, resource))


def _add(
    transaction: Transaction, row: Row, type_: str, resource: Mapping[str, Any], ahead: Ahead | None = None
) -> None:
    extract = transaction.context.engine.extractor.rows
    rows = ahead[0] if ahead and ahead[1] == row.gen else extract(type_, resource)
    for table, values in _placed(row, rows):
        transaction.batch.extend(table, values)


def change(transaction: Transaction, what: Change) -> None:
    """Index a new version: rows that stay the same are left alone."""
    before = what.before
    if "contained" in what.resource or "contained" in (what.old or {}):
        change_contained(transaction, what.row, what.resource, what.old)
    if before is None or before.deleted or before.gen != what.row.gen:
        anew(transaction, what.row, what.type, what.resource)
        return
    if what.row.deleted:  # an empty resource has index rows too, such as Patient's deceased=false
        _remove(transaction, before, what.type, what.old or {})
        return
    extractor = transaction.context.engine.extractor
    old = dict(_placed(what.row, extractor.rows(what.type, what.old or {})))
    new = dict(_placed(what.row, extractor.rows(what.type, what.resource)))
    for table in {**old, **new}:
        gone, there = old.get(table, []), new.get(table, [])
        kept = set(gone) & set(there)
        transaction.batch.remove(table, [row for row in gone if row not in kept])
        transaction.batch.extend(table, [row for row in there if row not in kept])


def anew(transaction: Transaction, row: Row, type_: str, resource: Mapping[str, Any]) -> None:
    """Index a resource from nothing, whatever rows there are: they may be of another generation."""
    forget(transaction, [row.rid])
    if not row.deleted:
        fill(transaction, row, type_, resource)


def fill(transaction: Transaction, row: Row, type_: str, resource: Mapping[str, Any]) -> None:
    """Index a resource that has no rows; what it contains is indexed by `change_contained`."""
    _add(transaction, row, type_, resource)
    if type_ == "Group":  # the members of a roster do not stand in its body
        transaction.connection.execute(_members(transaction.context.engine.params["Group", "member"], row))


def _members(param: int, row: Row) -> Insert:
    """Rows of the search parameter Group.member for the members in force."""
    place = [literal(value) for value in (TENANT, row.part, param, row.rid)]
    rows = select(*place, member.c.patient).where(
        member.c.grp == row.rh, member.c.to_version == LAST, member.c.change != "dropped"
    )
    return insert(ref).from_select([column.name for column in ref.columns], rows.distinct())


def remove(transaction: Transaction, row: Row, type_: str, resource: Mapping[str, Any]) -> None:
    """Take a deleted resource, and what it contained, out of every posting list."""
    _remove(transaction, row, type_, resource)
    if "contained" in resource:
        change_contained(transaction, row, {})


def _remove(transaction: Transaction, row: Row, type_: str, resource: Mapping[str, Any]) -> None:
    if row.gen != transaction.context.engine.extractor.generation(type_):
        forget(transaction, [row.rid])
        return
    for table, values in _placed(row, transaction.context.engine.extractor.rows(type_, resource)):
        transaction.batch.remove(table, values)


def change_contained(
    transaction: Transaction, row: Row, new: Mapping[str, Any], old: Mapping[str, Any] | None = None
) -> None:
    """Put what a resource contains now in place of what it contained; `old`: what it was, where that is known.

    For resources that contain something, or did: others have no such rows, and need no statement.
    """
    transaction.flush()
    known = contained.of(transaction.connection, [row.rid])
    is_same = old is not None and old.get("contained") == new.get("contained")
    if is_same and contained_rows.are_current(transaction, new, known):
        return
    if known:
        forget(transaction, [one.rid for one in known])
        contained.remove(transaction.connection, [row.rid])
    _add_each(transaction, contained_rows.put(transaction, row, new, known))


def _add_each(transaction: Transaction, parts: Iterable[contained_rows.Part]) -> None:
    for row, type_, part in parts:
        rows = inside(transaction.context.engine.extractor.rows(type_, part))
        for table, values in _placed(row, rows):
            transaction.batch.extend(table, values)


def _placed(row: Row, rows: IndexRows) -> list[tuple[Table, list[tuple[Any, ...]]]]:
    """The rows of each list that has some, as the table holds them."""
    lists: tuple[Sequence[Any], ...] = rows
    placed = [(table, _filled(row.part, row.rid, lists[at])) for at, table in enumerate(LISTS) if lists[at]]
    if rows.words:
        placed.append((words, [(row.rid, TENANT, row.part, *texts) for texts in rows.words]))
    return placed


def _filled(part: int, rid: int, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    width = len(values[0])
    if width == _WITH_TWO:
        return [(TENANT, part, param, rid, one, two) for param, one, two in values]
    if width == _WITH_ONE:
        return [(TENANT, part, param, rid, one) for param, one in values]
    return [(TENANT, part, param, rid, *others) for param, *others in values]


def forget(transaction: Transaction, rids: Sequence[int]) -> None:
    """Take resources out of every list, by their row numbers."""
    for statement in _ALL_OF:
        transaction.connection.execute(statement, {"rids": rids})
