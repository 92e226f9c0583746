"""The tables of assignment files: what was taken in, is held, waits for a decision, was recalled.

Times are UTC milliseconds.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)

from fhir_server.store.tables.columns import EXACT, metadata

# One file. state: held | confirmed | withdrawn | in-force | recalled; at: when it came into this state.
load = Table(
    "load",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("id", EXACT, primary_key=True),
    Column("owner", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("production_date", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("arguments", LargeBinary, nullable=False),
    Index("load_owner", "owner", "at"),
)

# The rosters a file is about, and the versions of them that it led to; one that changed nothing is not published, and
# version 0 is that of a file that has not been taken in to its end.
load_roster = Table(
    "load_roster",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("load", EXACT, nullable=False),
    Column("grp", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("published", Boolean, nullable=False),
    Column("grp_fid", EXACT, nullable=False),
    Column("provider_fid", EXACT, nullable=False),
    PrimaryKeyConstraint("load", "grp", "version"),
    sqlite_with_rowid=False,
)

# Whom some rows of a file name, by the hashes of their CINs (8 bytes each): those who were stored, and the others.
load_named = Table(
    "load_named",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("load", EXACT, nullable=False),
    Column("number", Integer, nullable=False),
    Column("stored", LargeBinary, nullable=False),
    Column("others", LargeBinary, nullable=False),
    PrimaryKeyConstraint("load", "number"),
)

# Rows that wait for a decision. state: waiting | taken-in | replaced | withdrawn; row: the assignment as JSON.
parked = Table(
    "parked",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("load", EXACT, nullable=False),
    Column("number", Integer, nullable=False),
    Column("owner", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("key", EXACT, nullable=False),
    Column("code", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("row", LargeBinary, nullable=False),
    PrimaryKeyConstraint("load", "number"),
    Index("parked_owner", "owner", "state", "at"),
)
