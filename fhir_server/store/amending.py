"""Changes of a stored row in place, for what makes no new version: its tags and labels."""

from sqlalchemy import Connection, bindparam, update

from fhir_server.store.db import RunAgain
from fhir_server.store.resources import Row
from fhir_server.store.tables import res


def amend(connection: Connection, before: Row, row: Row) -> None:
    """Put another body and labels into the current row; RunAgain if it is no longer what was read."""
    values = {"rid_": row.rid, "part_": row.part, "ver_": before.ver, "old": before.body}
    changed = connection.execute(_AMEND, {**values, "body": row.body, "labels": row.labels})
    if changed.rowcount != 1:
        raise RunAgain


def relabel(connection: Connection, rid: int, part: int, bits: int) -> None:
    """Add label bits to a row."""
    connection.execute(_RELABEL, {"rid_": rid, "part_": part, "bits": bits})


_ONE = (res.c.rid == bindparam("rid_"), res.c.part == bindparam("part_"))
_AMEND = (
    update(res)
    .where(*_ONE, res.c.ver == bindparam("ver_"), res.c.body == bindparam("old"))
    .values(body=bindparam("body"), labels=bindparam("labels"))
)
_RELABEL = update(res).where(*_ONE).values(labels=res.c.labels.bitwise_or(bindparam("bits")))
