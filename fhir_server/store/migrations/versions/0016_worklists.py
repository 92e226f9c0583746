"""Worklists of the Tasks that are stored: whose, in which status, since when, in one row of the list of pairs."""

from alembic import op
from sqlalchemy import bindparam, text

revision = "0016"
down_revision = "0015"

_QUEUE = "owner:status:authored-on"
_NO_DATE = -(2**63)
_ROWS = text(
    "INSERT INTO comp (tenant, part, param, rid, val, sys, text1, text2, text3, text4, number1, number2) "
    "SELECT o.tenant, o.part, :queue, o.rid, s.val, s.sys, CAST(o.tgt AS text), '', '', '', COALESCE(d.lo, :none), 0 "
    "FROM ref o JOIN tok s ON s.rid = o.rid AND s.part = o.part AND s.param = :status "
    "LEFT JOIN dat d ON d.rid = o.rid AND d.part = o.part AND d.param = :authored WHERE o.param = :owner"
).bindparams(bindparam("none", _NO_DATE))


def upgrade() -> None:
    """Add their rows; where nothing was ever stored the parameters have no numbers yet, and there is nothing to add."""
    connection = op.get_bind()
    numbers = {row.code: row.id for row in connection.execute(text("SELECT code, id FROM param WHERE type = 'Task'"))}
    if not {"owner", "status", "authored-on"} <= numbers.keys():
        return
    queue = connection.execute(text("SELECT max(id) + 1 FROM param")).scalar_one()
    connection.execute(
        text("INSERT INTO param (id, type, code) VALUES (:id, 'Task', :code)"), {"id": queue, "code": _QUEUE}
    )
    asked = {"owner": numbers["owner"], "status": numbers["status"], "authored": numbers["authored-on"]}
    connection.execute(_ROWS, {"queue": queue, **asked})
