"""What a client has done of a kind that is limited."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Create the table of turns taken."""
    exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "turn",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("client", exact, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("id", exact, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "kind", "client", "at", "id"),
        sqlite_with_rowid=False,
    )
