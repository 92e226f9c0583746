"""The audit table takes rows and gives none back: the database refuses every other statement."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from fhir_server.engine import audit
from fhir_server.engine.events import Event
from fhir_server.store.audits import guards_missing
from fhir_server.store.db import Database, open_database
from fhir_server.store.rows import Batch

KEY = b"k" * 32
ROLES = Path(__file__).parents[2] / "deploy" / "postgresql" / "roles.sql"
ATTACKS = (
    "UPDATE audit SET client = 'somebody else'",
    "UPDATE audit SET seq = seq + 1 WHERE seq = 2",
    "DELETE FROM audit WHERE seq = 1",
    "DELETE FROM audit",
)
SQLITE_ATTACKS = (
    "INSERT OR REPLACE INTO audit SELECT * FROM audit",
    "UPDATE OR IGNORE audit SET client = 'x'",
    "INSERT INTO audit SELECT * FROM audit WHERE true ON CONFLICT (chain, seq) DO UPDATE SET outcome = 500",
)
POSTGRESQL_ATTACKS = (
    "TRUNCATE audit",
    "SET session_replication_role = replica; DELETE FROM audit",
    "INSERT INTO audit SELECT * FROM audit ON CONFLICT (chain, seq) DO UPDATE SET outcome = 500",
)


def three(database: Database) -> list[Any]:
    """Three events, as they are stored."""
    batch = Batch()

    def work(connection: Any) -> None:
        events = [Event(n, f"r{n}", "read", 200, "client", 5, "TREAT", "::1", [], "") for n in range(3)]
        audit.add(batch, connection, KEY, events)
        batch.flush(connection)

    database.write(work)
    return stored(database)


def stored(database: Database) -> list[Any]:
    return [tuple(row) for row in database.read().exec_driver_sql("SELECT * FROM audit ORDER BY chain, seq")]


def test_no_statement_changes_or_removes_a_row(database: Database) -> None:
    """T30, section 3: update, delete, replace, upsert, truncate; the rows stand, and more can be added."""
    before = three(database)
    for attack in (*ATTACKS, *(SQLITE_ATTACKS if database.dialect == "sqlite" else POSTGRESQL_ATTACKS)):
        with pytest.raises(Exception, match="never changed or removed"):
            database.write(lambda connection, attack=attack: connection.exec_driver_sql(attack).rowcount)
    assert stored(database) == before
    assert len(three(database)) == 6
    assert audit.verify(database, KEY) == (6, None)


def test_missing_guards_are_told(database: Database) -> None:
    """T30: who owns the database can take them away, and `audit verify` says so."""
    assert guards_missing(database.read()) == []
    on = "" if database.dialect == "sqlite" else " ON audit"
    database.write(lambda connection: connection.exec_driver_sql(f"DROP TRIGGER audit_no_update{on}").rowcount)
    assert guards_missing(database.read()) == ["audit_no_update"]
    if database.dialect == "postgresql":
        off = "ALTER TABLE audit DISABLE TRIGGER audit_no_truncate"
        database.write(lambda connection: connection.exec_driver_sql(off).rowcount)
        assert guards_missing(database.read()) == ["audit_no_truncate", "audit_no_update"]


@pytest.mark.postgresql
def test_the_serving_role_only_adds(fresh_url: Callable[[str], str], tmp_path: Path) -> None:
    """B3: the role of deploy/postgresql/roles.sql serves, and can neither change the trail nor take the guards away."""
    from tests.live import running  # noqa: PLC0415 - the other tests of this file need no server

    url = fresh_url("postgresql")
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        for _ in range(2):  # after every migration
            connection.execute(ROLES.read_text())
    served = make_url(url).set(username="ecm_exchange").render_as_string(hide_password=False)
    with running(served, tmp_path) as live:
        clinic = live.client("clinic")
        made = clinic.post("Patient", {"resourceType": "Patient", "name": [{"family": "Rivera"}]})
        assert made.status_code == 201
        assert clinic.get(f"Patient/{made.json()['id']}").status_code == 200
        live.engine.reads.drain()
    with closing(open_database(served)) as database:
        assert len(stored(database)) >= 3
        for attack in (*ATTACKS, "TRUNCATE audit", "DROP TABLE audit", "ALTER TABLE audit DISABLE TRIGGER ALL",
                       "DROP TRIGGER audit_no_update ON audit", "DROP FUNCTION audit_only_grows() CASCADE",
                       "SET session_replication_role = replica", "CREATE TABLE other (a int)"):  # fmt: skip
            with pytest.raises(Exception, match=r"permission denied|must be owner"):
                database.write(lambda connection, attack=attack: connection.execute(text(attack)).rowcount)
        assert len(stored(database)) >= 3
