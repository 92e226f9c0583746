"""What stands beside a change: its audit, its place in the outbox, and the answer that was given."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)

from fhir_server.store.tables.columns import EXACT, metadata, place

# One hash chain per writing connection: h = HMAC(key, previous h | row). Triggers refuse what is no insert (0020).
audit = Table(
    "audit",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("chain", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("request", Text, nullable=False),
    Column("interaction", Text, nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("client", Text, nullable=False),
    Column("org", BigInteger, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("entities", LargeBinary, nullable=False),
    Column("query", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("chain", "seq"),
    Index("audit_at", "at"),
    sqlite_with_rowid=False,
)

idempotency = Table(
    "idempotency",
    metadata,
    *place(),
    Column("client", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("headers", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "client", "key"),
    Index("idempotency_at", "at"),
)

# What changed, written with the change; notifications and sinks read it in order.
outbox = Table(
    "outbox",
    metadata,
    *place(),
    Column("rid", BigInteger, nullable=False),
    Column("ver", Integer, nullable=False),
    Column("type", SmallInteger, nullable=False),
    Column("fid", EXACT, nullable=False),
    Column("interaction", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("rid", "ver", "part", "tenant"),
    Index("outbox_at", "at"),
)
