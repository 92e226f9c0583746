"""Where places lie."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the list; rows come with the next version of a resource, or by $reindex."""
    names = ("z", "x", "y")
    op.create_table(
        "geo",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("rid", sa.BigInteger(), nullable=False),
        *[sa.Column(name, sa.BigInteger(), nullable=False) for name in names],
        sa.PrimaryKeyConstraint("param", *names, "rid", "part", "tenant"),
        sqlite_with_rowid=False,
    )
    op.create_index("geo_rid", "geo", ["rid", "param"])
