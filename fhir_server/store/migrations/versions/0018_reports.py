"""Return files that were sent, version by version."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

_KEY = ("plan", "provider", "grp", "kind", "period", "number")


def _key() -> list[sa.Column[Any]]:
    kinds = (sa.BigInteger, sa.BigInteger, sa.BigInteger, sa.Text, sa.Text, sa.Integer)
    columns = [sa.Column(name, kind(), nullable=False) for name, kind in zip(_KEY, kinds, strict=True)]
    return [sa.Column("tenant", sa.SmallInteger(), nullable=False), *columns]


def upgrade() -> None:
    """Create the tables."""
    exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "report",
        *_key(),
        sa.Column("as_of", sa.BigInteger(), nullable=False),
        sa.Column("sha256", exact, nullable=False),
        sa.Column("said", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(*_KEY),
    )
    op.create_table(
        "report_piece",
        *_key(),
        sa.Column("piece", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(*_KEY, "piece"),
    )
