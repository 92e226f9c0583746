"""The tables of return files that were sent: one row per numbered version of a file, and its rows in pieces."""

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, PrimaryKeyConstraint, SmallInteger, Table, Text

from fhir_server.store.tables.columns import EXACT, metadata


def _key() -> list[Column[Any]]:
    """Between whom (hashes of references), which file, about which period, which version of it."""
    return [
        Column("tenant", SmallInteger, nullable=False),
        Column("plan", BigInteger, nullable=False),
        Column("provider", BigInteger, nullable=False),
        Column("grp", BigInteger, nullable=False),
        Column("kind", Text, nullable=False),
        Column("period", Text, nullable=False),
        Column("number", Integer, nullable=False),
    ]


_KEY = ("plan", "provider", "grp", "kind", "period", "number")

# grp: 0 for a file without a roster. as_of: the state of knowledge. said: what is told of it, as JSON.
report = Table(
    "report",
    metadata,
    *_key(),
    Column("as_of", BigInteger, nullable=False),
    Column("sha256", EXACT, nullable=False),
    Column("said", LargeBinary, nullable=False),
    PrimaryKeyConstraint(*_KEY),
)

# body: lines of JSON, compressed; each is one row of the file, the first one its header.
report_piece = Table(
    "report_piece",
    metadata,
    *_key(),
    Column("piece", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint(*_KEY, "piece"),
)
