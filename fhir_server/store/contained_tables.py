"""What resources contain: a row for each contained resource; its body, owner and labels are those of its container."""

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, SmallInteger, Table

from fhir_server.store.columns import EXACT, metadata

# rid: its own, by which the posting lists know it. fid: its id inside its container. holder: the container's rid.
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
