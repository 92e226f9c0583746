"""Who may see what: relations, directives, what follows from them, and shares; kept by the write that causes them."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)

from fhir_server.store.tables.columns import metadata, place


def _recorded() -> Column[int]:
    return Column("recorded", BigInteger, nullable=False, server_default="0")


# Who stands in which relation to a patient, and because of which resource (source = its rh). stays: 1 where what was
# recorded meanwhile stays readable for the run-out. recorded, here and below: since when this is said.
rel = Table(
    "rel",
    metadata,
    *place(),
    Column("patient", BigInteger, nullable=False),
    Column("org", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("from", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("source", BigInteger, nullable=False),
    Column("stays", SmallInteger, nullable=False, server_default="0"),
    _recorded(),
    PrimaryKeyConstraint("patient", "org", "kind", "source", "from", "part", "tenant"),
    Index("rel_source", "source"),
    sqlite_with_rowid=False,
)

# What a patient's Consent says. recipient 0 = anyone; purpose "" = any; effect: permit | deny.
directive = Table(
    "directive",
    metadata,
    *place(),
    Column("patient", BigInteger, nullable=False),
    Column("recipient", BigInteger, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("classes", BigInteger, nullable=False),
    Column("effect", Text, nullable=False),
    Column("from", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("consent", BigInteger, nullable=False),
    Column("ordinal", SmallInteger, nullable=False),
    _recorded(),
    PrimaryKeyConstraint("patient", "consent", "ordinal", "part", "tenant"),
    Index("directive_consent", "consent"),
    sqlite_with_rowid=False,
)

# What follows from the two: the classes an organization may see of a patient, for a purpose, in a span of time.
access = Table(
    "access",
    metadata,
    *place(),
    Column("org", BigInteger, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("patient", BigInteger, nullable=False),
    Column("mask", BigInteger, nullable=False),
    Column("from", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    PrimaryKeyConstraint("patient", "org", "purpose", "from", "part", "tenant"),
    Index("access_org", "org", "purpose", "patient"),
    sqlite_with_rowid=False,
)

# One resource shown to one organization. view 0 = the resource, 1 = its contact view. giver: the organization whose own
# right to the resource this rests on; 0 where it rests on nobody's.
share = Table(
    "share",
    metadata,
    *place(),
    Column("org", BigInteger, nullable=False),
    Column("target", BigInteger, nullable=False),
    Column("view", SmallInteger, nullable=False),
    Column("mask", BigInteger, nullable=False),
    Column("from", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("source", BigInteger, nullable=False),
    Column("giver", BigInteger, nullable=False, server_default="0"),
    _recorded(),
    PrimaryKeyConstraint("target", "org", "view", "source", "part", "tenant"),
    Index("share_source", "source"),
    Index("share_org", "org", "target"),
    sqlite_with_rowid=False,
)
