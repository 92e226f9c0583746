"""What resources contain, row by row; $reindex fills in what is stored already."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Create the table."""
    exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "contained",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("fid", exact, nullable=False),
        sa.Column("holder", sa.BigInteger(), nullable=False),
        sa.Column("gen", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rid", "part"),
    )
    op.create_index("contained_created", "contained", ["type", "rid"])
    op.create_index("contained_fid", "contained", ["type", "fid"])
    op.create_index("contained_of", "contained", ["holder", "type", "rid"])
    op.create_index("contained_holders", "contained", ["type", "holder", "rid"])
