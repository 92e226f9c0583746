"""The databases that tests get: both kinds, migrated, apart from each other, and durable like real ones."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import sqlalchemy

if TYPE_CHECKING:
    from fhir_server.store.db import Database


def tables_of(url: str) -> set[str]:
    engine = sqlalchemy.create_engine(url)
    try:
        return set(sqlalchemy.inspect(engine).get_table_names())
    finally:
        engine.dispose()


def runs(pid: int, data: Path) -> bool:
    """Whether that process is still the server of that folder."""
    try:
        return str(data) in Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_database_is_migrated(database_url: str, database_kind: str) -> None:
    assert database_url.startswith(database_kind)
    assert {"res", "hist", "rel", "access", "share", "audit"} <= tables_of(database_url)


def test_a_database_is_open_and_of_the_kind_asked_for(database: "Database", database_kind: str) -> None:
    assert database.dialect == database_kind


def test_two_databases_are_apart(database_kind: str, fresh_url: Callable[[str], str]) -> None:
    first, second = fresh_url(database_kind), fresh_url(database_kind)
    assert first != second
    engine = sqlalchemy.create_engine(first)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE only_here (x INTEGER)"))
    engine.dispose()
    assert "only_here" in tables_of(first)
    assert "only_here" not in tables_of(second)


@pytest.mark.postgresql
@pytest.mark.parametrize("setting", ["synchronous_commit", "fsync", "full_page_writes"])
def test_the_embedded_postgresql_is_durable(postgres_url: str, setting: str) -> None:
    with closing(psycopg.connect(postgres_url.replace("+psycopg", ""))) as connection:
        assert connection.execute("SELECT current_setting(%s)", [setting]).fetchone() == ("on",)


@pytest.mark.postgresql
def test_the_embedded_postgresql_ends_with_the_tests_even_when_they_are_killed() -> None:
    """Nothing is left behind: no process, no folder."""
    program = "from tests.postgres import running_postgres as run\nwith run() as url: print(url, flush=True); input()"
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killed:
        data = Path(killed.stdout.readline().strip().rpartition("host=")[2])
        pid = int((data / "postmaster.pid").read_text().split()[0])
        assert runs(pid, data)
        killed.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (runs(pid, data) or data.parent.exists()):
        time.sleep(0.1)
    assert not runs(pid, data)
    assert not data.parent.exists()
