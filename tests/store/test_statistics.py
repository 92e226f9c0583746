"""A young PostgreSQL learns what its tables hold before autovacuum's first round."""

import time

from sqlalchemy import NullPool, create_engine, event, insert

from fhir_server.store.db import open_database
from fhir_server.store.failures import replace_lost
from fhir_server.store.statistics import Learner, learn
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


def test_a_database_out_of_reach_ends_nothing() -> None:
    """P15: the next second is as good, once the database is back."""
    engine = create_engine("postgresql+psycopg://nobody@127.0.0.1:9/none", poolclass=NullPool)
    event.listen(engine, "handle_error", replace_lost, retval=True)
    learner = Learner(engine)
    learner.wrote()
    time.sleep(1.5)
    alive = learner._thread.is_alive()
    learner.close()
    assert alive
