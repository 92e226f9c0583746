"""A patient's compartment is found by the patient, whatever the size of the tables."""

from typing import Any

import pytest

from fhir_server.access.caller import Caller
from fhir_server.access.predicate import Visible
from fhir_server.access.scopes import parse
from fhir_server.store import compartment, purging
from fhir_server.store.compartment import Place, Wanted
from fhir_server.store.db import Database
from fhir_server.store.statements import Statement

WANTED = Wanted((1, 25, 103), (7, 8), (9,), dated=True, start=0, end=1)


def plan(database: Database, statement: Statement, values: Any) -> str:
    """How the database runs a statement."""
    sql, bound = statement._prepare(database.read(), values)
    driver: Any = database.read().connection.driver_connection
    if database.dialect == "sqlite":
        return "\n".join(row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {sql}", bound).fetchall())
    import psycopg  # noqa: PLC0415 - the PostgreSQL half alone

    with psycopg.RawCursor(driver) as cursor:
        return "\n".join(row[0] for row in cursor.execute(f"EXPLAIN {sql}", bound).fetchall())


@pytest.mark.parametrize("law_class", ["covered", "non-hipaa"])
def test_every_statement_goes_by_patient_reference_or_hash(database: Database, law_class: str) -> None:
    """No table is read whole and no list of a type is walked."""
    caller = Caller("c", "Organization/o", 5, law_class, parse("system/*.cruds"), "TREAT")
    view, connection = Visible(caller, 1000, "r"), database.read()
    compartment.page(connection, view, 1, WANTED, Place(), 10)
    compartment.referred(connection, view, [1, 2], (3,), 0)
    purging.owned(connection, view, 1, 5)
    values = {
        **view.binds,
        "patient": 1,
        "type_": 0,
        "rid_": 0,
        "most": 10,
        "since": 0,
        "start": 0,
        "end": 1,
        "owner": 5,
    }
    values |= {f"w{number}": number for number in range(16)}
    statements = [one for key, one in compartment._statements.items() if view.shape in key]
    statements += [one for key, one in purging._statements.items() if key == view.shape]
    assert len(statements) >= 4
    for statement in statements:
        told = plan(database, statement, values)
        assert "Seq Scan" not in told, told
        assert not [line for line in told.splitlines() if line.startswith("SCAN") and "res" in line.split()], told
        for walked in ("res_newest", "res_created", "res_owner"):
            assert walked not in told, told
