"""What access was and what is left of it: ended assignments that run out, and rows of the access tables as they were.

A row of a `..._past` table held from `recorded` until `replaced`, whatever span of time it speaks of. UTC milliseconds.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, SmallInteger, Table, Text

from fhir_server.store.columns import metadata


def _place() -> list[Column[Any]]:
    return [Column("tenant", SmallInteger, nullable=False), Column("part", SmallInteger, nullable=False)]


def _numbers(*names: str) -> list[Column[Any]]:
    return [Column(name, BigInteger, nullable=False) for name in names]


def _recorded() -> list[Column[Any]]:
    return _numbers("recorded", "replaced")


# Assignments with an end: what was recorded of the patient in [since, before) stays readable to the organization for
# the run-out, which begins at `ended`: the end or, if it was said in retrospect, the instant at which it was said.
runout = Table(
    "runout",
    metadata,
    *_place(),
    *_numbers("patient", "org", "since", "before", "ended"),
    PrimaryKeyConstraint("patient", "org", "since", "before", "part", "tenant"),
    sqlite_with_rowid=False,
)

rel_past = Table(
    "rel_past",
    metadata,
    *_place(),
    *_numbers("patient", "org"),
    Column("kind", Text, nullable=False),
    *_numbers("from", "until", "source"),
    Column("stays", SmallInteger, nullable=False),
    *_recorded(),
    PrimaryKeyConstraint("patient", "org", "kind", "source", "from", "replaced", "part", "tenant"),
    sqlite_with_rowid=False,
)

directive_past = Table(
    "directive_past",
    metadata,
    *_place(),
    *_numbers("patient", "recipient"),
    Column("purpose", Text, nullable=False),
    *_numbers("classes"),
    Column("effect", Text, nullable=False),
    *_numbers("from", "until", "consent"),
    Column("ordinal", SmallInteger, nullable=False),
    *_recorded(),
    PrimaryKeyConstraint("patient", "consent", "ordinal", "replaced", "part", "tenant"),
    sqlite_with_rowid=False,
)

share_past = Table(
    "share_past",
    metadata,
    *_place(),
    *_numbers("org", "target"),
    Column("view", SmallInteger, nullable=False),
    *_numbers("mask", "from", "until", "source", "giver"),
    *_recorded(),
    PrimaryKeyConstraint("target", "org", "view", "source", "replaced", "part", "tenant"),
    sqlite_with_rowid=False,
)
