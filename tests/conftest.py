"""The fixtures every test can ask for: databases of both kinds, already migrated, and the shared sample data.

`database` and `database_url` run a test once on SQLite and once on PostgreSQL; `--db` narrows that.
https://docs.pytest.org/en/stable/how-to/fixtures.html
"""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.postgres import running_postgres, with_database  # noqa: E402 - the root must be on the path first

if TYPE_CHECKING:
    from fhir_server.store.db import Database

KINDS = {"sqlite": ["sqlite"], "postgresql": ["postgresql"], "both": ["sqlite", "postgresql"]}
FreshUrl = Callable[[str], str]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option that narrows a run to one database."""
    parser.addoption("--db", choices=sorted(KINDS), default="both", help="which database the tests run on")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that reaches `database_kind` once per chosen database, with ids `sqlite` and `postgresql`."""
    if "database_kind" in metafunc.fixturenames:
        kinds = KINDS[metafunc.config.getoption("--db")]
        marks: dict[str, Any] = {"postgresql": pytest.mark.postgresql, "sqlite": ()}
        if "heavy" in {mark.name for mark in metafunc.definition.iter_markers()}:
            marks["postgresql"] = (pytest.mark.postgresql, pytest.mark.long)
        values = [pytest.param(kind, marks=marks[kind], id=kind) for kind in kinds]
        metafunc.parametrize("database_kind", values, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the laws, which the long run tries with more examples."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("law")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The official FHIR examples and packages beside the repository; skips where they are not there."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared sample data is not beside this repository")
    return folder


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The maintenance database of a PostgreSQL that lives as long as this test process."""
    with running_postgres() as url:
        yield url


def _migrate(url: str) -> None:
    from fhir_server.store.db import open_database  # noqa: PLC0415 - tests that need no database must not need the store
    from fhir_server.store.migrations import migrate  # noqa: PLC0415 - as above

    with closing(open_database(url)) as database:
        migrate(database)


def _execute(url: str, statement: str) -> None:
    import psycopg  # noqa: PLC0415 - only the PostgreSQL half needs the driver

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture(scope="session")
def fresh_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FreshUrl:
    """A function from kind to the URL of a new migrated database, a copy of a template that is migrated once."""
    numbers = count(1)
    templates: dict[str, str] = {}

    def sqlite_url() -> str:
        folder = tmp_path_factory.mktemp("sqlite")
        if "sqlite" not in templates:
            templates["sqlite"] = str(folder / "template.db")
            _migrate(f"sqlite:///{templates['sqlite']}")
        path = folder / "ecm.db"
        with closing(sqlite3.connect(templates["sqlite"])) as source, closing(sqlite3.connect(path)) as target:
            source.backup(target)
        return f"sqlite:///{path}"

    def postgresql_url() -> str:
        server = request.getfixturevalue("postgres_url")
        if "postgresql" not in templates:
            _execute(server, "CREATE DATABASE ecm_template")
            _migrate(with_database(server, "ecm_template"))
            templates["postgresql"] = "ecm_template"
        name = f"ecm_{next(numbers)}"
        _execute(server, f"CREATE DATABASE {name} TEMPLATE ecm_template")
        return with_database(server, name)

    makers = {"sqlite": sqlite_url, "postgresql": postgresql_url}
    return lambda kind: makers[kind]()


def _discard(url: str) -> None:
    if url.startswith("postgresql"):
        name = url.partition("?")[0].rpartition("/")[2]
        _execute(with_database(url, "postgres"), f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def database_url(database_kind: str, fresh_url: FreshUrl) -> Iterator[str]:
    """The URL of a new migrated database for one test, on each kind."""
    url = fresh_url(database_kind)
    yield url
    _discard(url)


@pytest.fixture(scope="module")
def module_database_url(database_kind: str, fresh_url: FreshUrl) -> Iterator[str]:
    """The same for the tests of one file that may share what they write."""
    url = fresh_url(database_kind)
    yield url
    _discard(url)


@pytest.fixture
def database(database_url: str) -> Iterator["Database"]:
    """An open migrated database for one test, on each kind; closed afterwards."""
    from fhir_server.store.db import open_database  # noqa: PLC0415 - as in _migrate

    with closing(open_database(database_url)) as opened:
        yield opened
