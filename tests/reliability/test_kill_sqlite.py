"""kill -9 of the server on SQLite while it writes: nothing acknowledged is lost, nothing is there by half (P8, F3)."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reliability.inspection import check, check_everything, opened
from tests.reliability.load import Memory, stop, writers
from tests.reliability.site import chance, cycles, site


@pytest.mark.long
def test_acknowledged_writes_survive_kills_of_the_server(fresh_url: Callable[[str], str], tmp_path: Path) -> None:
    """Must-show 5, F3: fifty kills at random moments under eight writers."""
    random, memory, kills = chance(), Memory(), cycles("SQLITE", 50)
    with site(fresh_url("sqlite"), tmp_path / "var") as server:
        client = server.client("writer")
        server.start()
        busy = writers(client, memory, 8, random.randrange(2**32))
        for _ in range(kills):
            time.sleep(random.uniform(0.05, 0.7))
            server.kill()
            server.start()
            with opened(server.url) as database:
                check_recent(database, memory)
        time.sleep(0.5)
        stop(busy)
        server.kill()
        server.start()  # drains what the last one left
        time.sleep(0.5)
        server.stop()
        found = check_everything(server.url, server.folder, server.base, memory)
        unexpected = server.unexpected()
    report(kills, found, memory, server.starts)
    assert memory.strange == []
    assert unexpected == []
    assert found.acknowledged > 10 * kills


def check_recent(database, memory: Memory) -> None:
    """The whole check while writers go on: what was acknowledged before the look began must be there."""
    with memory.lock:
        known = Memory(versions=dict(memory.versions), bundles=dict(memory.bundles))
    check(database, known)


def report(kills: int, found, memory: Memory, starts: list[float]) -> None:
    """Figures for the reader of the log."""
    print(
        f"{kills} kills: {found.acknowledged} acknowledged, 0 lost; {found.unanswered} unanswered, "
        f"{found.unanswered_but_stored} of them stored; {len(memory.reads)} reads; statuses {dict(memory.statuses)}; "
        f"start to ready {sum(starts) / len(starts):.2f} s (longest {max(starts):.2f})"
    )
