"""kill -9 of PostgreSQL, and of the server's processes, while they write (P8, F3)."""

import time
from contextlib import closing
from pathlib import Path

import pytest

from fhir_server.store.db import open_database
from fhir_server.store.migrations import migrate
from tests.postgres import running_postgres
from tests.reliability.inspection import check_everything, opened
from tests.reliability.load import Memory, stop, writers
from tests.reliability.postmaster import Postmaster
from tests.reliability.site import chance, cycles, site
from tests.reliability.test_kill_sqlite import check_recent, report


@pytest.mark.long
@pytest.mark.postgresql
def test_acknowledged_writes_survive_kills_of_postgresql(tmp_path: Path) -> None:
    """Must-show 5, F3: ten kills of the postmaster; every third time the server's processes die with it.

    A server that lives on answers 503 while the database is away, and goes on by itself when it is back (P19).
    """
    random, memory, kills = chance(), Memory(), cycles("POSTGRESQL", 10)
    with running_postgres() as url, site(url, tmp_path / "var") as server:
        with closing(open_database(url)) as database:
            migrate(database)
        postmaster = Postmaster(url)
        try:
            client = server.client("writer")
            server.start()
            busy = writers(client, memory, 8, random.randrange(2**32))
            for number in range(kills):
                time.sleep(random.uniform(0.3, 1.5))
                if number % 3 == 2:
                    server.kill()
                postmaster.kill()
                postmaster.start()
                if number % 3 == 2:
                    server.start()
                answered = sum(memory.statuses.values())
                with opened(server.url) as database:
                    check_recent(database, memory)
                wait_for_answers(memory, answered)
            stop(busy)
            server.kill()
            server.start()
            time.sleep(0.5)
            server.stop()
            found = check_everything(server.url, server.folder, server.base, memory)
            unexpected = server.unexpected()
        finally:
            postmaster.release()
    report(kills, found, memory, server.starts)
    print(f"PostgreSQL up again after {sum(postmaster.starts) / len(postmaster.starts):.2f} s")
    assert memory.strange == []
    assert unexpected == []
    assert found.acknowledged > 10 * kills


def wait_for_answers(memory: Memory, before: int) -> None:
    """The server serves again without anybody's help."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        good = sum(number for (_, status), number in memory.statuses.items() if status < 300)
        if sum(memory.statuses.values()) > before + 20 and good:
            return
        time.sleep(0.05)
    message = f"no answers after the database came back: {dict(memory.statuses)}"
    raise AssertionError(message)
