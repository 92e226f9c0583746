"""Changes of a stored row in place, for what makes no new version: its tags and labels."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, BindParameter, Connection, bindparam, select, update

from fhir_server.store.db import RunAgain
from fhir_server.store.resources import Row
from fhir_server.store.tables import ref, res


def amend(connection: Connection, before: Row, row: Row) -> None:
    """Put another body and labels into the current row; RunAgain if it is no longer what was read."""
    values = {"rid_": row.rid, "part_": row.part, "ver_": before.ver, "old": before.body}
    changed = connection.execute(_AMEND, {**values, "body": row.body, "labels": row.labels})
    if changed.rowcount != 1:
        raise RunAgain


def relabel(connection: Connection, rid: int, part: int, bits: int) -> bool:
    """Add label bits to a row; False if it has them all."""
    return connection.execute(_RELABEL, {"rid_": rid, "part_": part, "bits": bits}).rowcount == 1


def relabel_referring(
    connection: Connection, target: int, types: Sequence[int], parameters: Sequence[int], bits: int
) -> None:
    """Add label bits to the rows of these types that refer to a target by one of these search parameters."""
    connection.execute(_REFERRING, {"types": types, "params": parameters, "target": target, "bits": bits})


_ONE = (res.c.rid == bindparam("rid_"), res.c.part == bindparam("part_"))
_AMEND = (
    update(res)
    .where(*_ONE, res.c.ver == bindparam("ver_"), res.c.body == bindparam("old"))
    .values(body=bindparam("body"), labels=bindparam("labels"))
)
_TYPES: BindParameter[Sequence[int]] = bindparam("types", expanding=True)
_PARAMS: BindParameter[Sequence[int]] = bindparam("params", expanding=True)
_NAMING = select(ref.c.rid).where(ref.c.param.in_(_PARAMS), ref.c.tgt == bindparam("target"))
_REFERRING = (
    update(res)
    .where(res.c.rid.in_(_NAMING), res.c.type.in_(_TYPES))
    .values(labels=res.c.labels.bitwise_or(bindparam("bits")))
)
_BITS: BindParameter[int] = bindparam("bits", type_=BigInteger())
_RELABEL = (
    update(res).where(*_ONE, res.c.labels.bitwise_and(_BITS) != _BITS).values(labels=res.c.labels.bitwise_or(_BITS))
)
