"""A young PostgreSQL learns what its tables hold before autovacuum's first round."""

from sqlalchemy import insert

from fhir_server.store import statistics
from fhir_server.store.db import open_database
from fhir_server.store.tables import setting


def test_statistics_come_with_the_first_writes(fresh_url) -> None:
    """Design 3: plans do not wait for luck; SQLite plans without statistics."""
    database = open_database(fresh_url("postgresql"))
    asked = "SELECT reltuples FROM pg_class WHERE oid = to_regclass('setting')"
    before = int(database.read().exec_driver_sql(asked).scalar())
    writes = min(statistics.LEARN_AFTER)
    for number in range(writes):
        name = f"name-{number}"
        database.write(lambda connection, name=name: connection.execute(insert(setting).values(name=name, value="")))
    database.close()
    again = open_database(str(database.engine.url.render_as_string(hide_password=False)))
    assert before < writes <= again.read().exec_driver_sql(asked).scalar()
    again.close()
