"""Identifiers of organizations that the operator verified; files of jobs are found by their owner."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def _exact() -> sa.Text:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Nothing is verified yet: what organizations wrote of themselves is no proof."""
    op.create_table(
        "enrolment",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("system", _exact(), nullable=False),
        sa.Column("value", _exact(), nullable=False),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "system", "value"),
        sqlite_with_rowid=False,
    )
    op.create_index("file_owner", "file", ["owner", "job"], unique=False)
    op.create_index("job_client", "job", ["client", "state"], unique=False)
