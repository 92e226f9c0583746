"""What the tables of every room share: one schema, text that both databases compare alike, and the columns of most."""

from typing import Any

from sqlalchemy import BigInteger, Column, MetaData, SmallInteger, Text

metadata = MetaData()

# PostgreSQL must compare text by code point, as SQLite does: prefixes and keyset pages depend on it.
EXACT = Text().with_variant(Text(collation="C"), "postgresql")


def place() -> list[Column[Any]]:
    """Where a row stands: its tenant, and the part of the tables that its patient is in."""
    return [Column("tenant", SmallInteger, nullable=False), Column("part", SmallInteger, nullable=False)]


def numbers(*names: str) -> list[Column[Any]]:
    """Columns of 64-bit numbers."""
    return [Column(name, BigInteger, nullable=False) for name in names]
