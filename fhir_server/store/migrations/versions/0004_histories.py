"""Indexes for the histories of a type and of the server."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create them; nothing else changes."""
    op.create_index("res_time", "res", ["ts", "rid"])
    op.create_index("hist_newest", "hist", ["type", "ts", "rid"])
    op.create_index("hist_time", "hist", ["ts", "rid"])
