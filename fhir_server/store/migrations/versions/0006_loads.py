"""Assignment files that were taken in, held, parked or recalled."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def _exact() -> sa.Text:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the three tables; files taken in before are not in them and cannot be recalled."""
    op.create_table(
        "load",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("id", _exact(), nullable=False),
        sa.Column("owner", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("production_date", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("arguments", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("load_owner", "load", ["owner", "at"], unique=False)
    op.create_table(
        "load_roster",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("load", _exact(), nullable=False),
        sa.Column("grp", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("grp_fid", _exact(), nullable=False),
        sa.Column("provider_fid", _exact(), nullable=False),
        sa.PrimaryKeyConstraint("load", "grp", "version"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "parked",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("load", _exact(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("owner", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("key", _exact(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("row", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("load", "number"),
    )
    op.create_index("parked_owner", "parked", ["owner", "state", "at"], unique=False)
