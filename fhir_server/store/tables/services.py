"""The tables of the service itself: jobs and their files, client systems and their tokens, facts of this deployment."""

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

# ---- jobs and their files -----------------------------------------------------------------------------------------

job = Table(
    "job",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("id", EXACT, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("owner", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Column("lease_by", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("caller", LargeBinary, nullable=False),
    Column("arguments", LargeBinary, nullable=False),
    Column("cursor", LargeBinary, nullable=False),
    Column("progress", Text, nullable=False),
    Column("result", LargeBinary, nullable=False),
    Index("job_due", "state", "lease_until"),
    Index("job_client", "client", "state"),
)

# Uploaded and produced files, in pieces, so that a file of any size is never held whole.
file = Table(
    "file",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("id", EXACT, nullable=False),
    Column("piece", Integer, nullable=False),
    Column("owner", BigInteger, nullable=False),
    Column("job", EXACT, nullable=False),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("id", "piece"),
    Index("file_job", "job"),
    Index("file_owner", "owner", "job"),
)

# ---- SMART: clients, tokens, assertion replay ---------------------------------------------------------------------

client = Table(
    "client",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("id", EXACT, primary_key=True),
    Column("name", Text, nullable=False),
    Column("organization", Text, nullable=False),
    Column("law_class", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("purposes", Text, nullable=False),
    Column("rights", Text, nullable=False),
    Column("jwks", LargeBinary, nullable=False),
    Column("jwks_uri", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
)

# Identifiers of organizations that the operator verified: whom an assignment file means by an NPI.
enrolment = Table(
    "enrolment",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("system", EXACT, nullable=False),
    Column("value", EXACT, nullable=False),
    Column("organization", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "system", "value"),
    sqlite_with_rowid=False,
)

# Access tokens are opaque; only their SHA-256 is stored.
token = Table(
    "token",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("hash", LargeBinary, primary_key=True),
    Column("client", EXACT, nullable=False),
    Column("scope", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("issued", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("revoked", Boolean, nullable=False),
    Index("token_expires", "expires"),
)

assertion = Table(
    "assertion",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("client", EXACT, nullable=False),
    Column("jti", EXACT, nullable=False),
    Column("expires", BigInteger, nullable=False),
    PrimaryKeyConstraint("client", "jti"),
    Index("assertion_expires", "expires"),
)

# Facts of this deployment: schema generation, search-parameter generation, roster versions.
setting = Table(
    "setting",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# What a client has done of a kind that it may do so often in a span of time.
turn = Table(
    "turn",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("client", EXACT, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("id", EXACT, nullable=False),
    PrimaryKeyConstraint("tenant", "kind", "client", "at", "id"),
    sqlite_with_rowid=False,
)
