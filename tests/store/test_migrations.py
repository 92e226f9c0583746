"""The schema's history: it leads to the schema the code uses, and a database of another release is refused."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from fhir_server.store.db import Database, open_database
from fhir_server.store.migrations import WrongSchema, migrate, require_current, version
from fhir_server.store.tables import metadata


def test_the_migrations_lead_to_the_tables_of_the_code(database: Database) -> None:
    """P17: what the migrations make is what `store.tables` says, column by column, index by index."""
    with database.engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "include_name": _is_told_in_tables}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def _is_told_in_tables(name: str | None, kind: str, _parents: Any) -> bool:
    """The full-text index is a virtual table with shadow tables here, a table with generated columns there."""
    return kind != "table" or not str(name).startswith("words")


def test_keys_of_the_tables_are_those_of_the_code(database: Database) -> None:
    """Alembic compares no primary keys; the order of their columns is how rows are clustered."""
    inspector = inspect(database.engine)
    for table in metadata.tables.values():
        found = inspector.get_pk_constraint(table.name)["constrained_columns"]
        assert found == [column.name for column in table.primary_key], table.name


@pytest.mark.postgresql
def test_postgresql_compares_text_by_code_point(fresh_url: Callable[[str], str]) -> None:
    """Prefixes and keyset pages rest on it, whatever the locale of the server."""
    query = text(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'tok'::regclass AND attcollation = '\"C\"'::regcollation"
    )
    with closing(open_database(fresh_url("postgresql"))) as database:
        assert database.read().execute(query).scalars().all() == ["val"]


def test_migrating_twice_changes_nothing(database: Database) -> None:
    """P17: each step may be started again."""
    before = version(database)
    migrate(database)
    assert version(database) == before
    require_current(database)


def test_an_empty_database_is_told_to_migrate(tmp_path: Any) -> None:
    with closing(open_database(f"sqlite:///{tmp_path}/empty.db")) as database:
        with pytest.raises(WrongSchema, match="db migrate"):
            require_current(database)
        migrate(database)
        require_current(database)


def test_a_newer_database_is_refused(database: Database) -> None:
    """P17: an old program must not write into a schema it does not know."""
    database.write(
        lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")).rowcount
    )
    with pytest.raises(WrongSchema, match="newer release"):
        require_current(database)


def test_data_survive_another_migrate(database: Database) -> None:
    database.write(
        lambda connection: connection.execute(metadata.tables["setting"].insert(), {"name": "a", "value": "b"})
    )
    migrate(database)
    assert database.read().execute(text("SELECT value FROM setting WHERE name = 'a'")).scalar() == "b"
