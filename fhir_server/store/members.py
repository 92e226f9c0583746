"""Roster members: one row per member and span of versions, so that any version of a roster can be shown again.

A row is in force from version `from_version` up to, not including, `to_version`; the open one ends at LAST.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, select, update

from fhir_server.store.resources import TENANT, Visible
from fhir_server.store.statements import Statement, Statements
from fhir_server.store.tables import member

LAST = 2**31 - 1
_CHUNK = 500


class Member(NamedTuple):
    """One row, in the order of the table's columns; begins and ends are what the plan said, in milliseconds."""

    tenant: int
    part: int
    grp: int
    patient: int
    key: str
    patient_fid: str
    coverage_fid: str
    team_fid: str
    provider_fid: str
    change: str
    from_version: int
    to_version: int
    begins: int
    ends: int
    row_hash: int
    row: bytes
    shown: bytes | None = None  # what a roster shows of `row`; rows of older releases have none


def in_groups(connection: Connection, groups: Iterable[int], keys: Iterable[str]) -> dict[tuple[int, str], Member]:
    """(group, key) -> the row in force, for these groups and member keys."""
    query = select(member).where(
        member.c.grp.in_(sorted(set(groups))),
        member.c.key.in_(sorted(set(keys))),
        member.c.to_version == LAST,
    )
    return {(row.grp, row.key): Member(*row) for row in connection.execute(query)}


def of_patients(connection: Connection, patients: Iterable[int]) -> dict[int, list[Member]]:
    """Patient -> its rows in force in every roster; dropped ones are among them."""
    found: dict[int, list[Member]] = {}
    wanted = sorted(set(patients))
    for start in range(0, len(wanted), _CHUNK):
        query = select(member).where(member.c.patient.in_(wanted[start : start + _CHUNK]), member.c.to_version == LAST)
        for row in connection.execute(query):
            found.setdefault(row.patient, []).append(Member(*row))
    return found


def end(connection: Connection, rows: Sequence[Member], version: int) -> None:
    """Let these rows end with the version before `version`."""
    if rows:
        values = [{"grp_": row.grp, "key_": row.key, "from_": row.from_version, "to": version} for row in rows]
        connection.execute(_END, values)


def remove(connection: Connection, rows: Sequence[Member]) -> None:
    """Take back rows that began with a version not published yet."""
    if rows:
        values = [{"grp_": row.grp, "key_": row.key, "from_": row.from_version} for row in rows]
        connection.execute(_REMOVE, values)


def walk(connection: Connection, group: int, after: str, limit: int) -> list[Member]:
    """Rows in force of one roster in the order of their keys, dropped ones left out; for the import alone."""
    rows = _WALK.rows(connection, {"grp": group, "after": after, "limit": limit})
    return [Member(*row) for row in rows]


def keys(connection: Connection, group: int, after: str, limit: int) -> list[str]:
    """The keys of the members in force of one roster, in their order; for the import alone."""
    rows = _KEYS.rows(connection, {"grp": group, "after": after, "limit": limit})
    return [row[0] for row in rows]


def patients(connection: Connection, group: int, version: int) -> list[int]:
    """The patient of every member of a version, seen by whom ever: for the audit of who was shown."""
    return [row[0] for row in _PATIENTS.rows(connection, {"grp": group, "version": version})]


def ever(connection: Connection, group: int, after: str, limit: int) -> list[str]:
    """The keys of all who are or were members of a roster, in their order; for the recall of a file alone."""
    return [row[0] for row in _EVER.rows(connection, {"grp": group, "after": after, "limit": limit})]


def history(connection: Connection, groups: Iterable[int], keys: Iterable[str]) -> dict[str, list[Member]]:
    """Key -> every row of it in these rosters, former ones too; for the recall of a file alone."""
    found: dict[str, list[Member]] = {}
    query = select(member).where(member.c.grp.in_(sorted(set(groups))), member.c.key.in_(sorted(set(keys))))
    for row in connection.execute(query.order_by(member.c.from_version)):
        found.setdefault(row.key, []).append(Member(*row))
    return found


def seen(
    connection: Connection, visible: Visible, group: int, version: int, after: str, limit: int, since: int = 0
) -> list[Member]:
    """Members of a version whose patient the caller may see, in the order of their keys; `since`: changed after it."""
    statement = _seen.of(visible.shape, partial(_seen_by, visible))
    values = {"grp": group, "version": version, "after": after, "limit": limit, "since": since}
    return [Member(*row) for row in statement.rows(connection, {**visible.binds, **values})]


_seen = Statements()


def _seen_by(visible: Visible) -> Select[Any]:
    r = visible("r", of="Patient")
    return (
        select(member)
        .select_from(member.join(r, (r.c.rh == member.c.patient) & r.c.deleted.is_(False) & (r.c.view == 0)))
        .where(
            member.c.grp == bindparam("grp"),
            member.c.tenant == TENANT,
            member.c.key > bindparam("after"),
            member.c.from_version <= bindparam("version"),
            member.c.to_version > bindparam("version"),
            member.c.from_version > bindparam("since"),
        )
        .order_by(member.c.key)
        .limit(bindparam("limit"))
    )


def left(
    connection: Connection, group: int, provider_fid: str, since: int, version: int, after: str, limit: int
) -> list[Member]:
    """This provider's members of version `since` who are dropped in `version`, in the order of their keys.

    It does not ask what the caller may see: who calls it tells of such a row that its patient left, and nothing else.
    """
    values = {"grp": group, "provider": provider_fid, "since": since, "version": version}
    return [Member(*row) for row in _LEFT.rows(connection, {**values, "after": after, "limit": limit})]


_PATIENTS = Statement(
    select(member.c.patient).where(
        member.c.grp == bindparam("grp"),
        member.c.from_version <= bindparam("version"),
        member.c.to_version > bindparam("version"),
    )
)

_before = member.alias("before")
_LEFT = Statement(
    select(member)
    .select_from(member.join(_before, (_before.c.grp == member.c.grp) & (_before.c.key == member.c.key)))
    .where(
        member.c.grp == bindparam("grp"),
        member.c.tenant == TENANT,
        member.c.provider_fid == bindparam("provider"),
        member.c.change == "dropped",
        member.c.from_version > bindparam("since"),
        member.c.from_version <= bindparam("version"),
        member.c.to_version > bindparam("version"),
        member.c.key > bindparam("after"),
        _before.c.change != "dropped",
        _before.c.from_version <= bindparam("since"),
        _before.c.to_version > bindparam("since"),
    )
    .order_by(member.c.key)
    .limit(bindparam("limit"))
)

_SAME = (
    member.c.grp == bindparam("grp_"),
    member.c.key == bindparam("key_"),
    member.c.from_version == bindparam("from_"),
)
_END = update(member).where(*_SAME).values(to_version=bindparam("to"))
_REMOVE = member.delete().where(*_SAME)
_WALKED = (
    member.c.grp == bindparam("grp"),
    member.c.to_version == LAST,
    member.c.change != "dropped",
    member.c.key > bindparam("after"),
)
_WALK = Statement(select(member).where(*_WALKED).order_by(member.c.key).limit(bindparam("limit")))
_EVER = Statement(
    select(member.c.key)
    .distinct()
    .where(member.c.grp == bindparam("grp"), member.c.key > bindparam("after"))
    .order_by(member.c.key)
    .limit(bindparam("limit"))
)
_KEYS = Statement(select(member.c.key).where(*_WALKED).order_by(member.c.key).limit(bindparam("limit")))
