"""Rows removed for good: of a patient's record, one owner's part.  The audit trail is not touched."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, bindparam, delete, select

from fhir_server.store.past_tables import directive_past, rel_past, runout, share_past
from fhir_server.store.resources import Row, Visible, from_columns
from fhir_server.store.statements import Statements
from fhir_server.store.tables import access, hist, keys, member, merged, outbox, ref, rel, res, share

_CHUNK = 500
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


def erase(connection: Connection, rows: Sequence[Row]) -> None:
    """Remove every version of these resources, what happened to them, and what was shared of them."""
    rids = [rid for row in rows for rid in (row.rid, row.rid + 1)]  # a Patient's contact view is the next row
    hashes = [row.rh for row in rows]
    for column, values in (
        (res.c.rid, rids),
        (hist.c.rid, rids),
        (outbox.c.rid, rids),
        (keys.c.rid, rids),
        (share.c.target, hashes),
        (share_past.c.target, hashes),
    ):
        for start in range(0, len(values), _CHUNK):
            connection.execute(delete(column.table).where(column.in_(values[start : start + _CHUNK])))


def forget(connection: Connection, patient: int, membership: int) -> None:
    """Remove who stands in which relation to a patient, and its place in rosters (`membership`: their parameter)."""
    connection.execute(delete(member).where(member.c.patient == patient))
    connection.execute(delete(ref).where(ref.c.param == membership, ref.c.tgt == patient))
    for table in (rel, access, runout, rel_past, directive_past):
        connection.execute(delete(table).where(table.c.patient == patient))
    connection.execute(delete(merged).where((merged.c.source == patient) | (merged.c.target == patient)))
