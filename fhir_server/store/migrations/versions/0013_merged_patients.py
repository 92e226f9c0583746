"""Patients that were found to be one person."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Create the table of merges."""
    op.create_table(
        "merged",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("source", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("target", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
    )
    op.create_index("merged_target", "merged", ["target"])
    op.create_index("merged_owner", "merged", ["owner"])
