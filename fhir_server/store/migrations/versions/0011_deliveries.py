"""Messages on their way out."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Create the table of messages that are to be sent."""
    exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "delivery",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("id", exact, primary_key=True),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
    )
    op.create_index("delivery_due", "delivery", ["state", "due"])
