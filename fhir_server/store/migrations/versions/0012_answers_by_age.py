"""Kept answers are found by their age, so that old ones go."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Create the index; nothing else changes."""
    op.create_index("idempotency_at", "idempotency", ["at"])
