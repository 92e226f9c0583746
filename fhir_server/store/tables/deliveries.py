"""Messages on their way out: one row each, written with what is to be told, until it was sent or given up."""

from sqlalchemy import BigInteger, Column, Index, Integer, SmallInteger, Table, Text

from fhir_server.store.tables.columns import EXACT, metadata

delivery = Table(
    "delivery",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("id", EXACT, primary_key=True),
    Column("organization", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Index("delivery_due", "state", "due"),
)
