"""Members of rosters: a Group's members live here and are rendered per caller."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from fhir_server.store.tables.columns import EXACT, metadata, place

member = Table(
    "member",
    metadata,
    *place(),
    Column("grp", BigInteger, nullable=False),
    Column("patient", BigInteger, nullable=False),
    Column("key", EXACT, nullable=False),
    Column("patient_fid", EXACT, nullable=False),
    Column("coverage_fid", EXACT, nullable=False),
    Column("team_fid", EXACT, nullable=False),
    Column("provider_fid", EXACT, nullable=False),
    Column("change", Text, nullable=False),
    Column("from_version", Integer, nullable=False),
    Column("to_version", Integer, nullable=False),
    Column("begins", BigInteger, nullable=False),
    Column("ends", BigInteger, nullable=False),
    Column("row_hash", BigInteger, nullable=False),
    Column("row", LargeBinary, nullable=False),
    Column("shown", LargeBinary),
    PrimaryKeyConstraint("grp", "key", "from_version", "part", "tenant"),
    Index("member_patient", "patient", "grp"),
    Index("member_version", "grp", "from_version", "to_version"),
)
