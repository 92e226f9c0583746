"""The full-text index: a virtual table of FTS5 on SQLite, tsvectors with a function that asks them on PostgreSQL.

It stands apart from the other tables because neither can be written down as a table alone; migration 0009 makes them.
`rowid` is the resource's rid; narrative and content are its words, each once, between blanks.
https://www.sqlite.org/fts5.html https://www.postgresql.org/docs/current/textsearch.html
"""

from sqlalchemy import BigInteger, Column, MetaData, SmallInteger, Table, Text

words = Table(
    "words",
    MetaData(),
    Column("rowid", BigInteger, primary_key=True),
    Column("tenant", SmallInteger, nullable=False),
    Column("part", SmallInteger, nullable=False),
    Column("narrative", Text, nullable=False),
    Column("content", Text, nullable=False),
)
