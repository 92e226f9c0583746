"""A process beside the worker: what it answers, and that nothing is lost when it dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_server.engine.context import Engine
from fhir_server.jobs.beside import Beside
from tests.ecm.scene import scene

pytestmark = pytest.mark.heavy


def double(_engine: Engine, number: int) -> bytes:
    """Twice the number; ZeroDivisionError for 0."""
    return str(number * 2 // (number and 1)).encode()


def own_pid(_engine: Engine, _asked: None) -> bytes:
    return str(os.getpid()).encode()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, module_database_url: str) -> Iterator[Engine]:
    with scene(module_database_url, tmp_path_factory.mktemp("beside")) as world:
        yield world.server.engine


def test_answers_in_order_and_survives_a_failure(engine: Engine) -> None:
    beside = Beside(engine, double)
    answers = [beside.ask(number) for number in (1, 0, 3)]
    assert [answer.result() for answer in answers] == [b"2", b"", b"6"]
    beside.close()


def test_a_dead_process_answers_nothing(engine: Engine) -> None:
    beside: Beside[None] = Beside(engine, own_pid)
    pid = int(beside.ask(None).result())
    assert pid != os.getpid()
    os.kill(pid, signal.SIGKILL)
    assert beside.ask(None).result() == b""
    assert beside.ask(None).result() == b""
    beside.close()
    assert not alive(pid)


ORPHAN = """
import os, sys
from fhir_server.app import create_engine
from fhir_server.config import Settings
from fhir_server.jobs.beside import Beside
from tests.jobs.test_beside import own_pid
engine = create_engine(Settings(data_folder=sys.argv[1], database_url=sys.argv[2]))
print(Beside(engine, own_pid).ask(None).result().decode(), flush=True)
os._exit(9)
"""


@pytest.mark.long
def test_ends_with_the_process_that_started_it(tmp_path: Path, database_url: str) -> None:
    command = [sys.executable, "-c", ORPHAN, str(tmp_path), database_url]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 9, done.stderr
    pid, until = int(done.stdout), time.monotonic() + 10
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(pid)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
