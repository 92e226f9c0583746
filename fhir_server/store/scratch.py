"""Texts grouped by a key on disk: what would be too much for the memory while it is sorted.

The file belongs to one block of code and ends with it.  https://www.sqlite.org/inmemorydb.html#temp_db
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager

Grouped = Callable[[str], list[str]]  # key -> its texts, in the order in which they came


@contextmanager
def grouped(rows: Iterable[tuple[str, str]]) -> Iterator[Grouped]:
    """The texts of (key, text) rows by key; a few megabytes of memory, however many there are."""
    with closing(sqlite3.connect("", isolation_level=None)) as kept:
        kept.execute("PRAGMA journal_mode = OFF")
        kept.execute("CREATE TABLE text (key TEXT, content TEXT)")
        kept.execute("BEGIN")
        kept.executemany("INSERT INTO text VALUES (?, ?)", rows)
        kept.execute("CREATE INDEX by_key ON text (key)")
        query = "SELECT content FROM text WHERE key = ? ORDER BY rowid"
        yield lambda key: [row[0] for row in kept.execute(query, (key,))]
