"""The words of resources, in the full-text index of the database."""

from alembic import op

revision = "0009"
down_revision = "0008"

_TABLE = """
CREATE TABLE words (
  rowid bigint NOT NULL, tenant smallint NOT NULL, part smallint NOT NULL,
  narrative text NOT NULL, content text NOT NULL,
  narrative_terms tsvector GENERATED ALWAYS AS (array_to_tsvector(string_to_array(narrative, ' '))) STORED,
  content_terms tsvector GENERATED ALWAYS AS (array_to_tsvector(string_to_array(content, ' '))) STORED,
  PRIMARY KEY (rowid, part, tenant)
)
"""
# An index of words answers by bitmaps alone, which sessions of this server are told to do without.
_FUNCTION = """
CREATE FUNCTION words_in_{0}(asked text) RETURNS TABLE (rid bigint, part smallint) STABLE LANGUAGE sql
SET enable_bitmapscan = on AS 'SELECT rowid, part FROM words WHERE {0}_terms @@ asked::tsquery'
"""


def upgrade() -> None:
    """Create it; rows come with the next version of a resource, or by $reindex."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE VIRTUAL TABLE words USING fts5("
            "tenant UNINDEXED, part UNINDEXED, narrative, content, detail=column, tokenize='unicode61')"
        )
        return
    op.execute(_TABLE)
    for name in ("narrative", "content"):
        op.execute(f"CREATE INDEX words_{name} ON words USING gin ({name}_terms)")
        op.execute(_FUNCTION.format(name))
