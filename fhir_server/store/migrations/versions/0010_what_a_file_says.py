"""What each assignment file says of whom, so that it can be recalled."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def _exact() -> sa.Text:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the rosters of files anew, which tell what was published, and add whom a file names."""
    op.drop_table("load_roster")
    op.create_table(
        "load_roster",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("load", _exact(), nullable=False),
        sa.Column("grp", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("published", sa.Boolean(), nullable=False),
        sa.Column("grp_fid", _exact(), nullable=False),
        sa.Column("provider_fid", _exact(), nullable=False),
        sa.PrimaryKeyConstraint("load", "grp", "version"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "load_named",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("load", _exact(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("stored", sa.LargeBinary(), nullable=False),
        sa.Column("others", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("load", "number"),
    )
