"""Replacing a resource row: a compare-and-set on its version; what it replaces is history."""

from typing import Any

import pytest
from sqlalchemy import select

from fhir_server.fhir.errors import Conflict
from fhir_server.store import resources
from fhir_server.store.db import Database, RunAgain
from fhir_server.store.resources import Row
from fhir_server.store.rows import Batch
from fhir_server.store.tables import hist, res

FIRST = Row(1, 7, 10, 100, "x", 0, 55, 1, 1000, False, 9, None, 0, 1, 0, b"one")
SECOND = FIRST._replace(ver=2, ts=2000, body=b"two", labels=4, patient=3)


def write(database: Database, before: Row | None, row: Row) -> None:
    def work(connection: Any) -> None:
        batch = Batch()
        if before is None:
            resources.insert(batch, row)
        else:
            resources.replace(connection, batch, before, row)
        batch.flush(connection)

    database.write(work)


def rows(database: Database, table: Any) -> list[Row]:
    return [Row(*row[:15], bytes(row.body)) for row in database.read().execute(select(table).order_by(table.c.ver))]


def test_the_replaced_row_moves_to_history(database: Database) -> None:
    write(database, None, FIRST)
    write(database, FIRST, SECOND)
    assert rows(database, res) == [SECOND]
    assert rows(database, hist) == [FIRST]


def test_a_row_that_was_replaced_meanwhile_is_not_replaced_again(database: Database) -> None:
    """P4: no lost update; the work is run again, and a stale version named by the work itself is a conflict."""
    write(database, None, FIRST)
    write(database, FIRST, SECOND)
    runs = []

    def work(connection: Any) -> None:
        runs.append(1)
        resources.replace(connection, Batch(), FIRST, FIRST._replace(ver=2, body=b"other"))

    with pytest.raises(Conflict) as caught:
        database.write(work)
    assert isinstance(caught.value.__cause__, RunAgain) or caught.value.__context__ is None
    assert len(runs) == 8
    assert rows(database, res) == [SECOND]
    assert rows(database, hist) == [FIRST]


def test_a_row_that_is_not_there_is_not_replaced(database: Database) -> None:
    with pytest.raises(Conflict):
        write(database, FIRST, SECOND)
    assert rows(database, res) == rows(database, hist) == []


def test_no_two_resources_share_an_identity(database: Database) -> None:
    """Unique by tenant, type, id, view and part."""
    write(database, None, FIRST)
    with pytest.raises(Conflict):
        write(database, None, FIRST._replace(rid=12, owner=1))
    write(database, None, FIRST._replace(rid=11, view=1))
    assert len(rows(database, res)) == 2
