"""Resource rows: reading them through the caller's visible sub-select, and replacing them.

Nothing here reads the resource table itself; `visible` (see `access.predicate`) hands in the rows a caller may see.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, Select, Subquery, bindparam, select, union_all, update

from fhir_server.store.db import RunAgain
from fhir_server.store.rows import Batch
from fhir_server.store.statements import Statement, Statements
from fhir_server.store.tables import hist, res

TENANT = 1


class Row(NamedTuple):
    """One version of a resource, in the order of the table's columns."""

    tenant: int
    part: int
    rid: int
    type: int
    fid: str
    view: int
    rh: int
    ver: int
    ts: int
    deleted: bool
    owner: int
    patient: int | None
    labels: int
    gen: int
    enc: int
    body: bytes


class Version(Protocol):
    """What every stored version is known by, whether it was read or found by a search."""

    @property
    def fid(self) -> str:
        """Its logical id."""

    @property
    def rh(self) -> int:
        """The hash of its reference."""

    @property
    def ver(self) -> int:
        """Its version number."""

    @property
    def ts(self) -> int:
        """When it was stored, in milliseconds."""

    @property
    def body(self) -> bytes:
        """Its JSON."""


class Visible(Protocol):
    """The caller's view of the resource table: a sub-select per alias, its shape, and the values it binds."""

    @property
    def shape(self) -> Hashable:
        """All that the text of the sub-select depends on."""

    @property
    def binds(self) -> Mapping[str, Any]:
        """The values of its named binds."""

    def __call__(self, alias: str, *, of: str | None = None) -> Subquery[Any]:
        """Current rows the caller may see; of one type if `of` names it."""

    def contained(self, alias: str, of: str) -> Subquery[Any]:
        """Contained resources of a type, of the containers that the caller may see; `holder` is the container's rid."""

    def history(self, alias: str, of: str | None = None) -> Subquery[Any]:
        """Superseded versions the caller may see, of resources it may see now."""


_statements = Statements()


def _statement(name: str, visible: Visible, which: Hashable, build: Callable[[], Any]) -> Statement:
    return _statements.of((name, visible.shape, which), build)


def _columns(source: Any) -> list[Any]:
    return [source.c[name] for name in Row._fields]


def from_columns(row: Sequence[Any]) -> Row:
    """A row as a driver returns it: SQLite has no booleans."""
    return Row._make([*row[:9], bool(row[9]), *row[10:]])


def read(connection: Connection, visible: Visible, type_: str, fid: str) -> Row | None:
    """The current row, deleted or not; None if there is none or the caller may not see it."""

    def build() -> Select[Any]:
        r = visible("r", of=type_)
        return select(*_columns(r)).where(r.c.tenant == TENANT, r.c.fid == bindparam("fid"))

    rows = _statement("read", visible, type_, build).rows(connection, {**visible.binds, "fid": fid})
    return from_columns(rows[0]) if rows else None


def by_hash(connection: Connection, visible: Visible, hashes: Iterable[int]) -> list[Row]:
    """The visible, undeleted rows whose reference hash is one of `hashes`."""
    wanted = sorted(set(hashes))
    if not wanted:
        return []
    size = 1 << (len(wanted) - 1).bit_length()
    names = [f"h{number}" for number in range(size)]

    def build() -> Select[Any]:
        r = visible("r")
        one_of = r.c.rh.in_([bindparam(name) for name in names])
        return select(*_columns(r)).where(one_of, r.c.deleted.is_(False))

    padded = wanted + [wanted[-1]] * (size - len(wanted))
    values = {**visible.binds, **dict(zip(names, padded, strict=True))}
    return [from_columns(row) for row in _statement("by_hash", visible, size, build).rows(connection, values)]


def version(connection: Connection, visible: Visible, type_: str, rid: int, number: int) -> Row | None:
    """One version of one resource; None if there is none or the caller may not see it."""

    def of(view: Any) -> Select[Any]:
        return select(*_columns(view)).where(view.c.rid == bindparam("rid"), view.c.ver == bindparam("ver"))

    def build() -> Any:
        return union_all(of(visible("r", of=type_)), of(visible.history("h", of=type_)))

    values = {**visible.binds, "rid": rid, "ver": number}
    rows = _statement("version", visible, type_, build).rows(connection, values)
    return from_columns(rows[0]) if rows else None


def insert(batch: Batch, row: Row) -> None:
    """Add the first version of a resource."""
    batch.add(res, *row)


def mark(connection: Connection, row: Row) -> bool:
    """Note the generation of this version's index rows; False if it is no longer the current version, or deleted."""
    values = {"rid_": row.rid, "part_": row.part, "old": row.ver, "gen": row.gen}
    return connection.execute(_MARK, values).rowcount == 1


def replace(connection: Connection, batch: Batch, before: Row, row: Row) -> None:
    """Put `row` in place of `before`, which moves to history; RunAgain if `before` is no longer the current version."""
    new = {name: getattr(row, name) for name in CHANGING}
    place = {"old": before.ver, "rid_": row.rid, "part_": row.part}
    changed = connection.execute(_REPLACE, {**new, **place})
    if changed.rowcount != 1:
        raise RunAgain
    batch.add(hist, *before)


CHANGING = ("ver", "ts", "deleted", "owner", "patient", "labels", "gen", "enc", "body")
_REPLACE = (
    update(res)
    .where(res.c.rid == bindparam("rid_"), res.c.part == bindparam("part_"), res.c.ver == bindparam("old"))
    .values({name: bindparam(name) for name in CHANGING})
)
_MARK = (
    update(res)
    .where(res.c.rid == bindparam("rid_"), res.c.part == bindparam("part_"), res.c.ver == bindparam("old"))
    .where(res.c.deleted.is_(False))
    .values(gen=bindparam("gen"))
)
