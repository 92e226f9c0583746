"""What access was and what is left of it: ended assignments that run out, and rows of the access tables as they were.

A row of a `..._past` table held from `recorded` until `replaced`, whatever span of time it speaks of. UTC milliseconds.
"""

from sqlalchemy import Column, PrimaryKeyConstraint, SmallInteger, Table, Text

from fhir_server.store.tables.columns import metadata, numbers, place

_RECORDED = ("recorded", "replaced")

# Assignments with an end: what was recorded of the patient in [since, before) stays readable to the organization for
# the run-out, which begins at `ended`: the end or, if it was said in retrospect, the instant at which it was said.
runout = Table(
    "runout",
    metadata,
    *place(),
    *numbers("patient", "org", "since", "before", "ended"),
    PrimaryKeyConstraint("patient", "org", "since", "before", "part", "tenant"),
    sqlite_with_rowid=False,
)

rel_past = Table(
    "rel_past",
    metadata,
    *place(),
    *numbers("patient", "org"),
    Column("kind", Text, nullable=False),
    *numbers("from", "until", "source"),
    Column("stays", SmallInteger, nullable=False),
    *numbers(*_RECORDED),
    PrimaryKeyConstraint("patient", "org", "kind", "source", "from", "replaced", "part", "tenant"),
    sqlite_with_rowid=False,
)

directive_past = Table(
    "directive_past",
    metadata,
    *place(),
    *numbers("patient", "recipient"),
    Column("purpose", Text, nullable=False),
    *numbers("classes"),
    Column("effect", Text, nullable=False),
    *numbers("from", "until", "consent"),
    Column("ordinal", SmallInteger, nullable=False),
    *numbers(*_RECORDED),
    PrimaryKeyConstraint("patient", "consent", "ordinal", "replaced", "part", "tenant"),
    sqlite_with_rowid=False,
)

share_past = Table(
    "share_past",
    metadata,
    *place(),
    *numbers("org", "target"),
    Column("view", SmallInteger, nullable=False),
    *numbers("mask", "from", "until", "source", "giver"),
    *numbers(*_RECORDED),
    PrimaryKeyConstraint("target", "org", "view", "source", "replaced", "part", "tenant"),
    sqlite_with_rowid=False,
)
