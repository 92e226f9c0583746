"""The table of Patients that were found to be one person: a row stands as long as the merge does.

Times are UTC milliseconds; source, target and owner are hashes of references.
"""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, SmallInteger, Table

from fhir_server.store.tables.columns import metadata

# source was replaced by target, both of one owner; record: what the merge changed, as JSON, so that it can be undone.
merged = Table(
    "merged",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("source", BigInteger, primary_key=True, autoincrement=False),
    Column("target", BigInteger, nullable=False),
    Column("owner", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Index("merged_target", "target"),
    Index("merged_owner", "owner"),
)
