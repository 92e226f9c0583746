"""Many more requests than a real server takes at once: answers or plain refusals, then peace (P14)."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
import requests

from tests.live import Client
from tests.reliability.site import site, twin

pytestmark = pytest.mark.long

CROWD, SECONDS = 260, 6.0  # more than are worked on and may wait


def test_a_crowd_is_answered_or_turned_away(
    database_kind: str, fresh_url: Callable[[str], str], tmp_path: Path
) -> None:
    """P14: 200, 201 or 503 with Retry-After; health answers meanwhile; afterwards every request is answered."""
    with site(fresh_url(database_kind), tmp_path / "var", threads="2") as server:
        client = server.client("crowd")
        server.start()
        client.authorize_once()
        twins = [twin(client) for _ in range(CROWD)]
        for one in twins:
            one.token, one.expires = client.token, client.expires
        statuses: Counter[int] = Counter()
        slowest, stop = [0.0], Event()

        def hammer(one: Client) -> None:
            while not stop.is_set():
                began = time.monotonic()
                answer = one.post("Patient", {"resourceType": "Patient"}) if began % 1 < 0.3 else one.get("Patient")
                slowest[0] = max(slowest[0], time.monotonic() - began)
                statuses[answer.status_code] += 1
                assert answer.status_code != 503 or answer.headers["Retry-After"]

        with ThreadPoolExecutor(CROWD) as pool:
            running = [pool.submit(hammer, one) for one in twins]
            end, waits = time.monotonic() + SECONDS, []
            while time.monotonic() < end:
                began = time.monotonic()
                assert requests.get(server.root + "/health/live", timeout=10).status_code == 200
                waits.append(time.monotonic() - began)
                time.sleep(0.1)
            stop.set()
            for one in running:
                one.result()
        assert set(statuses) <= {200, 201, 503}
        assert statuses[503] > 0
        assert statuses[200] + statuses[201] > 20
        assert all(client.get("Patient?_count=1").status_code == 200 for _ in range(20))
        assert server.unexpected() == []
        stored = client.get("Patient?_summary=count").json()["total"]
        assert stored == statuses[201]
        print(f"{dict(statuses)}, slowest {slowest[0]:.2f} s, health at most {max(waits):.2f} s")
