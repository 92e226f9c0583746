"""Large code systems: concepts, the words they are found by, what they stand under."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def _exact() -> sa.Text:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the four tables."""
    op.create_table(
        "code_system",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("url", _exact(), nullable=False),
        sa.Column("version", _exact(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("linked", sa.Integer(), nullable=False),
        sa.Column("loaded", sa.BigInteger(), nullable=False),
    )
    op.create_index("code_system_version", "code_system", ["url", "version"], unique=True)
    op.create_table(
        "concept",
        sa.Column("system", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("code", _exact(), nullable=False),
        sa.Column("display", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("facts", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("system", "number"),
    )
    op.create_index("concept_code", "concept", ["system", "code"], unique=True)
    op.create_table(
        "concept_word",
        sa.Column("system", sa.Integer(), nullable=False),
        sa.Column("word", _exact(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("system", "word", "number"),
        sqlite_with_rowid=False,
    )
    op.create_index("concept_word_number", "concept_word", ["system", "number", "word"], unique=False)
    op.create_table(
        "concept_above",
        sa.Column("system", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("above", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("system", "number", "above"),
        sqlite_with_rowid=False,
    )
    op.create_index("concept_below", "concept_above", ["system", "above", "number"], unique=False)
