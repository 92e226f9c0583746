"""A young PostgreSQL learns what its tables hold before autovacuum's first round."""

import time

from sqlalchemy import insert

from fhir_server.store.db import open_database
from fhir_server.store.statistics import learn
from fhir_server.store.tables import setting

KNOWN = "SELECT reltuples FROM pg_class WHERE oid = to_regclass('setting')"


def test_a_table_that_has_outgrown_its_statistics_is_analyzed(fresh_url) -> None:
    """Design 3: plans do not wait for luck. Once is enough, until it has grown again."""
    database = open_database(fresh_url("postgresql"))
    rows = [{"name": f"name-{number}", "value": "x" * 500} for number in range(400)]
    database.write(lambda connection: connection.execute(insert(setting), rows))
    until = time.monotonic() + 20
    while database.read().exec_driver_sql(KNOWN).scalar() < len(rows) and time.monotonic() < until:
        time.sleep(0.05)
    assert database.read().exec_driver_sql(KNOWN).scalar() >= len(rows)
    assert "setting" not in learn(database.read())
    database.close()
