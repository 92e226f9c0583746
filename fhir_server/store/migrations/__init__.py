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


class WrongSchema(ValueError):
    """The database's schema is not the one this program works with."""


def require_current(database: Database) -> None:
    """WrongSchema unless the schema is the newest that this program knows; says what to do."""
    present, newest = version(database)
    if present == newest:
        return
    known = {script.revision for script in ScriptDirectory.from_config(_configuration()).walk_revisions()}
    if present is None or present in known:
        message = f"The database is at schema {present or 'none'}, not {newest}. Run: ecm-fhir db migrate"
    else:
        message = f"The database is at schema {present}; this program knows {newest} at most. Install a newer release."
    raise WrongSchema(message)


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent))
    return configuration
