"""What the tables of every room share: one schema, and text that both databases compare alike."""

from sqlalchemy import MetaData, Text

metadata = MetaData()

# PostgreSQL must compare text by code point, as SQLite does: prefixes and keyset pages depend on it.
EXACT = Text().with_variant(Text(collation="C"), "postgresql")
