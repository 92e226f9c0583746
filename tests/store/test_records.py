"""Records of many patients: the newest version stored by an instant, found without walking a table."""

from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.dialects import sqlite

from fhir_server.access.predicate import Visible
from fhir_server.fhir.definitions import type_number
from fhir_server.store import records
from fhir_server.store.db import Database
from fhir_server.store.hashing import rh
from fhir_server.store.tables import hist, res
from tests.access.scene import Scene, caller

MARY, BOTH = rh("Patient/mary"), [type_number("Patient"), type_number("Encounter")]


@pytest.fixture
def scene(database: Database) -> Any:
    with database.engine.begin() as connection:
        yield Scene(connection, {"clinic": "covered", "other": "covered"})


def settle(scene: Scene) -> None:
    """Mary and her Encounters: one as it was, one changed twice, one of somebody else's."""
    scene.add("Patient", "mary", "clinic")
    scene.add("Encounter", "same", "clinic", "mary")
    changed = scene.add("Encounter", "changed", "clinic", "mary", ver=3)
    scene.version(changed, 1)
    scene.version(changed, 2)
    scene.add("Encounter", "hidden", "other", "mary")
    scene.settle()
    for table in (res, hist):  # version 3 was stored at 30, version 2 at 20, version 1 at 10
        scene.connection.execute(update(table).values(ts=table.c.ver * 10))


def test_what_was_known_at_an_instant(scene: Scene) -> None:
    settle(scene)
    visible = Visible(caller("clinic"), 2000)
    now = records.of_patients(scene.connection, visible, BOTH, [MARY])
    assert {(row.fid, row.ver) for row in now} == {("mary", 1), ("same", 1), ("changed", 3)}
    hashes = [row.rh for row in now]
    assert {row.fid for row in records.by_hash(scene.connection, visible, hashes)} == {"mary", "same", "changed"}
    for as_of, version in ((30, 3), (29, 2), (20, 2), (19, 1), (10, 1)):
        expected = {("mary", 1), ("same", 1), ("changed", version)}
        for then in (
            records.by_hash(scene.connection, visible, hashes, as_of),
            records.of_patients(scene.connection, visible, BOTH, [MARY], as_of),
        ):
            assert {(row.fid, row.ver) for row in then} == expected, as_of
    assert records.of_patients(scene.connection, visible, BOTH, [MARY], 9) == []
    scene.connection.execute(update(res).values(deleted=True).where(res.c.ver == 3))
    assert "changed" not in {row.fid for row in records.by_hash(scene.connection, visible, hashes)}
    assert "changed" in {row.fid for row in records.by_hash(scene.connection, visible, hashes, 29)}
    assert records.seen(scene.connection, visible, [rh("Encounter/hidden"), rh("Encounter/same")]) == {
        rh("Encounter/same")
    }


@pytest.mark.parametrize("as_of", [records.NOW, 5])
def test_found_by_patient_or_hash(scene: Scene, as_of: int) -> None:
    """On SQLite an index on tenant or type would be taken as gladly, and walk the whole table for every page."""
    settle(scene)
    if scene.connection.dialect.name != sqlite.dialect.name:
        pytest.skip("SQLite's planner knows no numbers of rows")
    visible = Visible(caller("clinic"), 2000)
    records.of_patients(scene.connection, visible, BOTH, [MARY], as_of)
    records.by_hash(scene.connection, visible, [MARY], as_of)
    driver: Any = scene.connection.connection.driver_connection
    for statement in records._statements.values():
        sql, order, _ = statement._sql(scene.connection)
        plan = [row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {sql}", [1] * len(order or ())).fetchall()]
        walked = [
            step for step in plan if "_row " in step and not any(f"({by}=" in step for by in ("patient", "rh", "rid"))
        ]
        assert walked == []
