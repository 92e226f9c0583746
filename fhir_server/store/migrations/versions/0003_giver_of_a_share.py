"""Shares know who gave them; those of Tasks written before hang on the right of the Task's owner."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# Nobody has the hash -1: what cannot be traced to a Task is shown no more.
_GIVERS = """
    UPDATE share SET giver = coalesce((SELECT res.owner FROM res WHERE res.rh = share.source AND res.view = 0), -1)
    WHERE view = 0 AND target <> source
"""


def upgrade() -> None:
    """Add the column and fill it."""
    op.add_column("share", sa.Column("giver", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute(_GIVERS)
