"""What a roster shows of a member's facts, made when they are stored."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the column; rows without it are shown from their facts."""
    op.add_column("member", sa.Column("shown", sa.LargeBinary(), nullable=True))
