"""Assignment files by their fate (held, in force, recalled), the rosters they stand in, and their parked rows."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select, update

from fhir_server.store.resources import TENANT
from fhir_server.store.rows import Batch
from fhir_server.store.statements import Statement
from fhir_server.store.tables import load, load_named, load_roster, parked

_PAGE = 400
HELD, CONFIRMED, WITHDRAWN, IN_FORCE, RECALLED = "held", "confirmed", "withdrawn", "in-force", "recalled"
STEP = "step"  # the mode of what a step of the plan said of one member, beside those of files
WAITING, TAKEN_IN, REPLACED = "waiting", "taken-in", "replaced"


class Load(NamedTuple):
    """One file, in the order of the table's columns."""

    tenant: int
    id: str
    owner: int
    state: str
    mode: str
    production_date: str
    period: str
    at: int
    arguments: bytes


class Stand(NamedTuple):
    """A version of a roster that a file stands in, in the order of the table's columns."""

    tenant: int
    load: str
    grp: int
    version: int
    published: bool
    grp_fid: str
    provider_fid: str


class Named(NamedTuple):
    """Whom some rows of a file name, in the order of the table's columns."""

    tenant: int
    load: str
    number: int
    stored: bytes
    others: bytes


class Parked(NamedTuple):
    """A row that waits, in the order of the table's columns."""

    tenant: int
    load: str
    number: int
    owner: int
    state: str
    key: str
    code: str
    at: int
    row: bytes


def find(connection: Connection, owner: int, load_id: str) -> Load | None:
    """A file of this organization; None if it has none of this id."""
    rows = _FIND.rows(connection, {"id": load_id, "owner": owner})
    return Load._make(rows[0]) if rows else None


def put(connection: Connection, batch: Batch, row: Load) -> None:
    """Store a file, or what is new of it."""
    connection.execute(_FORGET, {"id_": row.id})
    batch.add(load, *row)


def move(connection: Connection, load_id: str, before: str, after: str, at: int) -> bool:
    """Bring a file from one state to another; False if it is not in the first."""
    return connection.execute(_MOVE, {"id_": load_id, "before": before, "after": after, "now": at}).rowcount == 1


def all_of(connection: Connection, owner: int) -> list[Load]:
    """All files of an organization, in the order in which they came into their present state."""
    return [Load._make(row) for row in _ALL.rows(connection, {"owner": owner})]


def in_force(connection: Connection, owner: int) -> list[Load]:
    """The files of an organization that are in force, in the order in which they came in."""
    return [Load._make(row) for row in _IN_FORCE.rows(connection, {"owner": owner})]


def newest(connection: Connection, owner: int) -> dict[str, tuple[str, str]]:
    """Provider id -> latest (production date, period) among the files in force of its roster; "" where none is said."""
    return {row[0]: (row[1] or "", row[2] or "") for row in _NEWEST.rows(connection, {"owner": owner})}


def note(connection: Connection, batch: Batch, row: Named) -> None:
    """Note whom some rows of a file name."""
    connection.execute(_UNNAME, {"load_": row.load, "number_": row.number})
    batch.add(load_named, *row)


def named(connection: Connection, load_id: str) -> Iterator[Named]:
    """Whom a file names, some of its rows at a time."""
    number = -1
    while rows := _NAMED.rows(connection, {"load": load_id, "number": number}):
        number = rows[-1][2]
        yield from map(Named._make, rows)


def rosters(connection: Connection, owner: int) -> dict[str, int]:
    """Provider id -> its roster, for every roster that a file of this organization stood in."""
    return {row[0]: row[1] for row in _ROSTERS.rows(connection, {"owner": owner})}


def stand(connection: Connection, batch: Batch, rows: Sequence[Stand]) -> None:
    """Note the rosters that a file is about and the versions it led to."""
    if rows:
        connection.execute(_UNSTAND, [{"load_": row.load, "grp_": row.grp, "version_": row.version} for row in rows])
        batch.extend(load_roster, rows)


def stands(connection: Connection, owner: int) -> list[Stand]:
    """Where the files of an organization stand, the rosters' versions in their order."""
    return [_stand(row) for row in _STANDS.rows(connection, {"owner": owner})]


def _stand(row: Sequence[Any]) -> Stand:
    return Stand._make([*row[:4], bool(row[4]), *row[5:]])


def park(connection: Connection, batch: Batch, rows: Sequence[Parked]) -> None:
    """Let rows wait; those of the same file and number are put in their place."""
    if rows:
        connection.execute(_UNPARK, [{"load_": row.load, "number_": row.number} for row in rows])
        batch.extend(parked, rows)


def waiting(connection: Connection, owner: int) -> list[Parked]:
    """The rows of an organization that wait, the oldest first."""
    return [Parked._make(row) for row in _WAITING.rows(connection, {"owner": owner})]


def replaced(connection: Connection, owner: int) -> list[Parked]:
    """The rows of files in force that wait no more because a later file names their member."""
    return [Parked._make(row) for row in _REPLACED.rows(connection, {"owner": owner})]


def settle(connection: Connection, rows: Sequence[Parked], state: str) -> None:
    """End the waiting of these rows."""
    if rows:
        values = [{"load_": row.load, "number_": row.number, "after": state} for row in rows]
        connection.execute(_SETTLE, values)


def parked_of(connection: Connection, load_id: str) -> list[Parked]:
    """The rows of a file that wait or were taken in later."""
    return [Parked._make(row) for row in _PARKED_OF.rows(connection, {"load": load_id})]


def parked_under(connection: Connection, owner: int, keys: Sequence[str]) -> list[Parked]:
    """Every row of an organization that waits or waited under one of these numbers."""
    query = select(parked).where(parked.c.owner == owner, parked.c.tenant == TENANT, parked.c.key.in_(keys))
    return [Parked._make(row) for row in connection.execute(query)] if keys else []


def unpark(connection: Connection, rows: Sequence[Parked]) -> None:
    """Remove rows for good."""
    if rows:
        connection.execute(_UNPARK, [{"load_": row.load, "number_": row.number} for row in rows])


_FIND = Statement(
    select(load).where(load.c.id == bindparam("id"), load.c.owner == bindparam("owner"), load.c.tenant == TENANT)
)
_FORGET = delete(load).where(load.c.id == bindparam("id_"))
_MOVE = (
    update(load)
    .where(load.c.id == bindparam("id_"), load.c.state == bindparam("before"))
    .values(state=bindparam("after"), at=bindparam("now"))
)
_ALL = Statement(
    select(load).where(load.c.owner == bindparam("owner"), load.c.tenant == TENANT).order_by(load.c.at, load.c.id)
)
_IN_FORCE = Statement(
    select(load)
    .where(load.c.owner == bindparam("owner"), load.c.tenant == TENANT, load.c.state == IN_FORCE)
    .order_by(load.c.at, load.c.id)
)
_NEWEST = Statement(
    select(load_roster.c.provider_fid, func.max(load.c.production_date), func.max(load.c.period))
    .select_from(load.join(load_roster, load_roster.c.load == load.c.id))
    .where(load.c.owner == bindparam("owner"), load.c.state == IN_FORCE, load_roster.c.provider_fid != "")
    .group_by(load_roster.c.provider_fid)
)
_ROSTERS = Statement(
    select(load_roster.c.provider_fid, load_roster.c.grp)
    .distinct()
    .select_from(load.join(load_roster, load_roster.c.load == load.c.id))
    .where(load.c.owner == bindparam("owner"), load_roster.c.provider_fid != "")
)
_UNNAME = delete(load_named).where(load_named.c.load == bindparam("load_"), load_named.c.number == bindparam("number_"))
_NAMED = Statement(
    select(load_named)
    .where(load_named.c.load == bindparam("load"), load_named.c.number > bindparam("number"))
    .order_by(load_named.c.number)
    .limit(_PAGE)
)
_UNSTAND = delete(load_roster).where(
    load_roster.c.load == bindparam("load_"),
    load_roster.c.grp == bindparam("grp_"),
    load_roster.c.version == bindparam("version_"),
)
_STANDS = Statement(
    select(load_roster)
    .select_from(load_roster.join(load, load_roster.c.load == load.c.id))
    .where(load.c.owner == bindparam("owner"))
    .order_by(load_roster.c.grp, load_roster.c.version)
)
_SAME = (parked.c.load == bindparam("load_"), parked.c.number == bindparam("number_"))
_UNPARK = delete(parked).where(*_SAME)
_SETTLE = update(parked).where(*_SAME).values(state=bindparam("after"))
_WAITING = Statement(
    select(parked)
    .where(parked.c.owner == bindparam("owner"), parked.c.tenant == TENANT, parked.c.state == WAITING)
    .order_by(parked.c.at, parked.c.load, parked.c.number)
)
_REPLACED = Statement(
    select(parked)
    .select_from(parked.join(load, load.c.id == parked.c.load))
    .where(parked.c.owner == bindparam("owner"), parked.c.state == REPLACED, load.c.state == IN_FORCE)
)
_PARKED_OF = Statement(select(parked).where(parked.c.load == bindparam("load")).order_by(parked.c.number))
