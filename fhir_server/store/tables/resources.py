"""Resources: current and superseded versions, what they contain, and the identities that only one of them has."""

from typing import Any

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
)

from fhir_server.store.tables.columns import EXACT, metadata, place


def _labels() -> list[Column[int]]:
    """Who owns a row, whose record it is, and which classes of sensitive information it holds (bits)."""
    return [
        Column("owner", BigInteger, nullable=False),
        Column("patient", BigInteger),
        Column("labels", BigInteger, nullable=False),
    ]


def _version() -> list[Column[Any]]:
    """One version of a resource."""
    return [
        *place(),
        Column("rid", BigInteger, nullable=False),
        Column("type", SmallInteger, nullable=False),
        Column("fid", EXACT, nullable=False),
        Column("view", SmallInteger, nullable=False),
        Column("rh", BigInteger, nullable=False),
        Column("ver", Integer, nullable=False),
        Column("ts", BigInteger, nullable=False),
        Column("deleted", Boolean, nullable=False),
        *_labels(),
        Column("gen", SmallInteger, nullable=False),
        Column("enc", SmallInteger, nullable=False),
        Column("body", LargeBinary, nullable=False),
    ]


res = Table(
    "res",
    metadata,
    *_version(),
    PrimaryKeyConstraint("rid", "part"),
    Index("res_identity", "tenant", "type", "fid", "view", "part", unique=True),
    Index("res_newest", "type", "ts", "rid"),
    Index("res_time", "ts", "rid"),
    Index("res_created", "type", "rid"),
    Index("res_hash", "rh"),
    Index("res_patient", "patient", "type", "rid"),
    Index("res_owner", "owner", "type", "rid"),
)

hist = Table(
    "hist",
    metadata,
    *_version(),
    PrimaryKeyConstraint("rid", "ver", "part"),
    Index("hist_newest", "type", "ts", "rid"),
    Index("hist_time", "ts", "rid"),
)


# What a resource contains: body, owner and labels are those of its container.
contained = Table(
    "contained",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("part", SmallInteger, nullable=False),
    Column("rid", BigInteger, nullable=False),
    Column("type", SmallInteger, nullable=False),
    Column("fid", EXACT, nullable=False),
    Column("holder", BigInteger, nullable=False),
    Column("gen", SmallInteger, nullable=False),
    PrimaryKeyConstraint("rid", "part"),
    Index("contained_created", "type", "rid"),
    Index("contained_fid", "type", "fid"),
    Index("contained_of", "holder", "type", "rid"),
    Index("contained_holders", "type", "holder", "rid"),
)

# Identities that must be unique per owner: Patient identifiers, roster keys.
keys = Table(
    "keys",
    metadata,
    *place(),
    Column("owner", BigInteger, nullable=False),
    Column("type", SmallInteger, nullable=False),
    Column("key", EXACT, nullable=False),
    Column("rid", BigInteger, nullable=False),
    Column("fid", EXACT, nullable=False),
    PrimaryKeyConstraint("tenant", "owner", "type", "key"),
    Index("keys_rid", "rid"),
    sqlite_with_rowid=False,
)
