"""The schema's history (Alembic): `migrate(database)` brings a database to the newest version."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from fhir_server.store.db import Database


def migrate(database: Database) -> None:
    """Bring the schema to the newest version; does nothing if it is there already."""
    configuration = _configuration()
    with database.engine.connect() as connection:
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")
        connection.commit()


def version(database: Database) -> tuple[str | None, str | None]:
    """(version of this database, newest version this program knows); None where there is none."""
    newest = ScriptDirectory.from_config(_configuration()).get_current_head()
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision(), newest


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent))
    return configuration
