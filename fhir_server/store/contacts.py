"""Rows of contact views, found and kept in step; what is in them is read nowhere here."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import BindParameter, Connection, bindparam, func, insert, select, update

from fhir_server.store.resources import CHANGING, Row
from fhir_server.store.tables import hist, res

_CHUNK = 500


class Past(NamedTuple):
    """A contact view that was put into history: of which Patient (hash), its version, how it is indexed."""

    rh: int
    ver: int
    deleted: bool
    gen: int


def retire(connection: Connection, rids: Collection[int]) -> dict[int, Past]:
    """Copy to history the contact views of these row numbers, as far as there are any; which, by their Patients."""
    wanted, found = sorted(rids), dict[int, Past]()
    for start in range(0, len(wanted), _CHUNK):
        for row in connection.execute(_RETIRE, {"rids": wanted[start : start + _CHUNK]}):
            found[row.rh] = Past(*row)
    return found


def succeed(connection: Connection, row: Row) -> None:
    """Put a version in place of the one that stands; labels are added to those that are stored, none is taken away."""
    new = {name: getattr(row, name) for name in CHANGING}
    connection.execute(_SUCCEED, {**new, "rid_": row.rid, "part_": row.part})


def lacking(connection: Connection, patients: Collection[int]) -> dict[int, int]:
    """Those of these Patients (hashes) that have no contact view, with their owners."""
    wanted, found = sorted(patients), dict[int, int]()
    for start in range(0, len(wanted), _CHUNK):
        for row in connection.execute(_LACKING, {"patients": wanted[start : start + _CHUNK]}):
            found[row.rh] = row.owner
    return found


_NAMES = [column.name for column in hist.columns]
_RIDS: BindParameter[Collection[int]] = bindparam("rids", expanding=True)
_RETIRE = (
    insert(hist)
    .from_select(_NAMES, select(*[res.c[name] for name in _NAMES]).where(res.c.rid.in_(_RIDS)))
    .returning(*[hist.c[name] for name in Past._fields])
)
_SUCCEED = (
    update(res)
    .where(res.c.rid == bindparam("rid_"), res.c.part == bindparam("part_"))
    .values({name: bindparam(name) for name in CHANGING})
    .values(labels=res.c.labels.bitwise_or(bindparam("labels")))
)
_PATIENTS: BindParameter[Collection[int]] = bindparam("patients", expanding=True)
_LACKING = (
    select(res.c.rh, res.c.owner)
    .where(res.c.rh.in_(_PATIENTS))
    .group_by(res.c.rh, res.c.owner)
    .having(func.max(res.c.view) == 0)
)
