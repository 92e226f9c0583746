"""The tables of large code systems, loaded from their publishers' distributions; versions stand side by side."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, Table, Text

from fhir_server.store.tables.columns import EXACT, metadata

# state: loading | ready. done and linked: how far a load has come, in concepts; source: the digest of what is loaded.
code_system = Table(
    "code_system",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("url", EXACT, nullable=False),
    Column("version", EXACT, nullable=False),
    Column("name", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("done", Integer, nullable=False),
    Column("linked", Integer, nullable=False),
    Column("loaded", BigInteger, nullable=False),
    Index("code_system_version", "url", "version", unique=True),
)

# facts: JSON with what only a look-up tells (definition, designations, properties, parents).
concept = Table(
    "concept",
    metadata,
    Column("system", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("code", EXACT, nullable=False),
    Column("display", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("facts", LargeBinary, nullable=False),
    PrimaryKeyConstraint("system", "number"),
    Index("concept_code", "system", "code", unique=True),
)

# The words of displays and synonyms, in lower case without accents.
concept_word = Table(
    "concept_word",
    metadata,
    Column("system", Integer, nullable=False),
    Column("word", EXACT, nullable=False),
    Column("number", Integer, nullable=False),
    PrimaryKeyConstraint("system", "word", "number"),
    Index("concept_word_number", "system", "number", "word"),
    sqlite_with_rowid=False,
)

# Every concept under itself and under all it stands below, at any depth.
concept_above = Table(
    "concept_above",
    metadata,
    Column("system", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("above", Integer, nullable=False),
    PrimaryKeyConstraint("system", "number", "above"),
    Index("concept_below", "system", "above", "number"),
    sqlite_with_rowid=False,
)
