"""Rows removed for good: of a patient's record, one owner's part.  The audit trail is not touched."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import BigInteger, Connection, Select, bindparam, delete, insert, select

from fhir_server.store.resources import Row, Visible, from_columns
from fhir_server.store.statements import Statements
from fhir_server.store.tables import (
    access,
    delivery,
    directive_past,
    hist,
    keys,
    member,
    merged,
    outbox,
    ref,
    rel,
    rel_past,
    res,
    runout,
    setting,
    share,
    share_past,
    uri,
)

T = TypeVar("T")

_CHUNK = 500
WORDS_TO_MERGE: Final = "words-to-merge"
_MERGED_PAGES = 200  # at a time, so that nobody waits long for the writer
_LEAST_CHANGES = 2  # fewer mean that there was nothing to merge
_statements = Statements()


def owned(connection: Connection, visible: Visible, patient: int, owner: int) -> list[Row]:
    """What an organization owns of a patient's record and may see, deleted resources included."""
    values = {**visible.binds, "patient": patient, "owner": owner}
    rows = _statements.of(visible.shape, partial(_owned, visible)).rows(connection, values)
    return [from_columns(row) for row in rows]


def _owned(visible: Visible) -> Select[Any]:
    r = visible("r")
    mine = r.c.patient == bindparam("patient", type_=BigInteger()), r.c.owner == bindparam("owner")
    return select(*[r.c[name] for name in Row._fields]).where(*mine)


def speaking_of(
    connection: Connection, visible: Visible, owner: int, hashes: Collection[int], params: Sequence[int]
) -> list[Row]:
    """What an organization owns that is nobody's record and refers, by these parameters, to these resources alone."""
    found: dict[int, Row] = {}
    for some in _some(sorted(hashes)):
        r, link = visible("r"), ref.alias("link")
        query = (
            select(*[r.c[name] for name in Row._fields])
            .where(r.c.owner == owner, r.c.patient.is_(None))
            .where(r.c.rid.in_(select(link.c.rid).where(link.c.param.in_(params), link.c.tgt.in_(some))))
        )
        found |= {row[2]: from_columns(row) for row in connection.execute(query, dict(visible.binds))}
    links = (
        link
        for some in _some(sorted(found))
        for link in connection.execute(select(ref.c.rid, ref.c.tgt).where(ref.c.rid.in_(some), ref.c.param.in_(params)))
    )
    others = {rid for rid, target in links if target not in hashes}
    return [row for rid, row in found.items() if rid not in others]


def attached(
    connection: Connection, visible: Visible, owner: int, names: Mapping[int, str], param: int, base: str
) -> list[Row]:
    """The resources of these names (hash -> "Type/id") that are an organization's and nobody's record.

    Not those that are shown by themselves, or that something names by the parameter `param`, a URL.
    """
    r = visible("r")
    columns = [r.c[name] for name in Row._fields]
    found: list[Row] = []
    for some in _some(sorted(names)):
        query = select(*columns).where(r.c.rh.in_(some), r.c.owner == owner, r.c.patient.is_(None))
        shown = set(connection.execute(select(share.c.target).where(share.c.target.in_(some))).scalars())
        urls = [url for one in some for url in (names[one], base + names[one])]
        named = select(uri.c.val).where(uri.c.param == param, uri.c.val.in_(urls))
        kept = {one.removeprefix(base) for one in connection.execute(named).scalars()}
        rows = [from_columns(row) for row in connection.execute(query, dict(visible.binds))]
        found += [row for row in rows if row.rh not in shown and names[row.rh] not in kept]
    return found


def former_bodies(connection: Connection, visible: Visible, rids: Sequence[int]) -> list[bytes]:
    """The superseded versions of these resources, as far as they have a body."""
    h = visible.history("h")
    queries = [select(h.c.body).where(h.c.rid.in_(some)) for some in _some(rids)]
    return [
        bytes(body) for query in queries for body in connection.execute(query, dict(visible.binds)).scalars() if body
    ]


def erase(connection: Connection, rows: Sequence[Row]) -> None:
    """Remove every version of these resources, what happened to them, what was shared of them, what was to be sent."""
    rids = [rid for row in rows for rid in (row.rid, row.rid + 1)]  # a Patient's contact view is the next row
    hashes = [row.rh for row in rows]
    for column, values in (
        (res.c.rid, rids),
        (hist.c.rid, rids),
        (outbox.c.rid, rids),
        (keys.c.rid, rids),
        (share.c.target, hashes),
        (share_past.c.target, hashes),
        (delivery.c.id, [row.fid for row in rows]),
    ):
        for some in _some(values):
            connection.execute(delete(column.table).where(column.in_(some)))


def _some(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def forget(connection: Connection, patient: int, membership: int) -> None:
    """Remove who stands in which relation to a patient, and its place in rosters (`membership`: their parameter)."""
    connection.execute(delete(member).where(member.c.patient == patient))
    connection.execute(delete(ref).where(ref.c.param == membership, ref.c.tgt == patient))
    for table in (rel, access, runout, rel_past, directive_past):
        connection.execute(delete(table).where(table.c.patient == patient))
    connection.execute(delete(merged).where((merged.c.source == patient) | (merged.c.target == patient)))


def note_words(connection: Connection) -> None:
    """Note that the full-text index of SQLite holds words of removed resources: in its segments, until they merge."""
    if connection.dialect.name == "sqlite":
        connection.execute(delete(setting).where(setting.c.name == WORDS_TO_MERGE))
        connection.execute(insert(setting).values(name=WORDS_TO_MERGE, value=""))


def merge_words(connection: Connection) -> bool:
    """Merge some of the index's segments, if that was noted; False once nothing is left to do.

    https://www.sqlite.org/fts5.html#the_merge_command
    """
    noted = select(setting.c.name).where(setting.c.name == WORDS_TO_MERGE)
    if connection.dialect.name != "sqlite" or connection.execute(noted).first() is None:
        return False
    changes = "SELECT total_changes()"
    before = int(connection.exec_driver_sql(changes).scalar_one())
    connection.exec_driver_sql(f"INSERT INTO words(words, rank) VALUES('merge', {-_MERGED_PAGES})")
    if int(connection.exec_driver_sql(changes).scalar_one()) - before >= _LEAST_CHANGES:
        return True
    connection.execute(delete(setting).where(setting.c.name == WORDS_TO_MERGE))
    return False
