"""A write's rows go in together and come out equal, by every way into both databases."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from fhir_server.fhir.errors import Conflict
from fhir_server.store import rows as rows_module
from fhir_server.store.db import Database
from fhir_server.store.resources import Row
from fhir_server.store.rows import Batch
from fhir_server.store.tables import audit, client, dat, keys, ref, res, string, tok, uri

BIG = 2**63 - 1
WORDS = [
    "",
    "plain",
    "Ünïcödé",
    "line\nbreak",
    "tab\t",
    "quote'\"",
    "back\\slash",
    "{brace}",
    "NULL",
    "\\N",
    "漢字",
    "😀",
    "a,b",
]


def some_rows(number: int) -> dict[Any, list[tuple[Any, ...]]]:
    """Rows of every kind of column, with values at the edges."""
    chance = random.Random(number)
    made: dict[Any, list[tuple[Any, ...]]] = {table: [] for table in (res, tok, string, dat, ref, uri, audit, client)}
    for rid in range(1, number + 1):
        word = chance.choice(WORDS)
        far = chance.choice([0, -1, BIG, -BIG - 1])
        body = bytes(chance.randrange(256) for _ in range(chance.randrange(40)))
        patient = None if rid % 3 else rid
        made[res].append(
            Row(1, 7, rid, 32767, f"id-{rid}", 0, far, 2**31 - 1, far, rid % 2 == 0, far, patient, 0, 1, 0, body)
        )
        made[tok].append((1, 4095, 5, rid, word, far))
        made[string].append((1, 7, 5, rid, word.lower(), word))
        made[dat].append((1, 7, 5, rid, -BIG - 1, BIG))
        made[ref].append((1, 7, 5, rid, far))
        made[uri].append((1, 7, 5, rid, word))
        made[audit].append((1, 9, rid, far, word, "read", 200, "c", far, "TREAT", "::1", body, word, body))
        made[client].append((1, f"c-{rid}", word, "", "", "", "", "", b"{}", "", rid % 2 == 0, rid))
    return made


def stored(database: Database, table: Any) -> list[tuple[Any, ...]]:
    found = database.read().execute(select(table)).all()
    return sorted((tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in found), key=repr)


def write(database: Database, fill: Callable[[Batch], None]) -> None:
    def work(connection: Any) -> None:
        batch = Batch()
        fill(batch)
        batch.flush(connection)

    database.write(work)


def put_all(made: dict[Any, list[tuple[Any, ...]]]) -> Callable[[Batch], None]:
    def fill(batch: Batch) -> None:
        for table, values in made.items():
            batch.extend(table, values)

    return fill


def expected(values: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, values), key=repr)


@pytest.mark.parametrize("number", [1, 30, 260], ids=["one", "together", "copied"])
def test_rows_come_out_as_they_went_in(database: Database, number: int) -> None:
    """One statement for a few rows, COPY from two thousand (260 x 8); the same rows either way."""
    made = some_rows(number)
    assert (sum(map(len, made.values())) >= rows_module._COPY_FROM) == (number == 260)
    write(database, put_all(made))
    for table, values in made.items():
        assert stored(database, table) == expected(values), table.name


def test_copy_and_one_statement_store_the_same(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    made = some_rows(260)
    write(database, put_all(made))
    emptied = [table for table in made if table is not audit]
    copied = {table: stored(database, table) for table in emptied}
    for table in emptied:
        database.write(lambda connection, table=table: connection.execute(table.delete()).rowcount)
    monkeypatch.setattr(rows_module, "_COPY_FROM", 10**9)
    once_more = [(tenant, chain + 1, *rest) for tenant, chain, *rest in made[audit]]  # the trail only grows
    write(database, put_all({**made, audit: once_more}))
    assert {table: stored(database, table) for table in emptied} == copied
    assert stored(database, audit) == expected([*made[audit], *once_more])


def test_removed_rows_are_gone_and_no_others(database: Database) -> None:
    """A row is removed only if it is equal in every column."""
    made = {table: some_rows(40)[table] for table in (tok, string, dat, ref, uri)}
    write(database, put_all(made))

    def fill(batch: Batch) -> None:
        for table, values in made.items():
            batch.remove(table, values[::2])
        batch.remove(tok, [(1, 4095, 5, 2, "another value", 0)])

    write(database, fill)
    for table, values in made.items():
        assert stored(database, table) == expected(values[1::2])


def test_a_row_removed_and_added_again_is_there(database: Database) -> None:
    """Deletions go first: a new version may bring back what the difference took away."""
    row = (1, 7, 5, 1, "a", 0)
    write(database, lambda batch: batch.add(tok, *row))

    def fill(batch: Batch) -> None:
        batch.add(tok, *row)
        batch.remove(tok, [row])

    write(database, fill)
    assert stored(database, tok) == [row]


def test_an_empty_batch_writes_nothing(database: Database) -> None:
    def fill(batch: Batch) -> None:
        batch.extend(tok, [])
        batch.remove(tok, [])

    write(database, fill)
    assert stored(database, tok) == []


def test_a_flushed_batch_is_empty(database: Database) -> None:
    def work(connection: Any) -> None:
        batch = Batch()
        batch.add(tok, 1, 7, 5, 1, "a", 0)
        batch.flush(connection)
        batch.flush(connection)

    database.write(work)
    assert len(stored(database, tok)) == 1


@pytest.mark.parametrize("number", [1, 2500], ids=["together", "copied"])
def test_a_taken_key_stores_nothing_of_the_batch(database: Database, number: int) -> None:
    """P1, P5: the unique key decides, whichever way the rows take."""
    write(database, lambda batch: batch.add(keys, 1, 7, 1, 1, "k", 1, "x"))

    def fill(batch: Batch) -> None:
        batch.extend(tok, [(1, 7, 5, rid, "a", 0) for rid in range(number)])
        batch.add(keys, 1, 7, 1, 1, "k", 2, "y")

    with pytest.raises(Conflict):
        write(database, fill)
    assert stored(database, tok) == []


def test_a_missing_value_is_our_mistake_and_no_conflict(database: Database) -> None:
    """P5: only a taken key is a conflict; what else the schema refuses is a fault to be seen."""
    with pytest.raises(Exception, match=r"(?i)null") as caught:
        write(database, lambda batch: batch.add(tok, 1, 7, 5, 1, None, 0))
    assert not isinstance(caught.value, Conflict)
