"""SIGTERM: what was begun is finished and answered, what comes later is turned away, the process ends with 0 (P16)."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.reliability.site import site, twin
from tests.rest.catalogue import send

pytestmark = pytest.mark.long


def test_the_end_is_announced_and_nothing_is_cut_off(
    database_kind: str, fresh_url: Callable[[str], str], tmp_path: Path
) -> None:
    """P16, P19: readiness false at once, answers go on for two seconds, a second SIGTERM is harmless, exit code 0."""
    with site(fresh_url(database_kind), tmp_path / "var") as server:
        client = server.client("writer")
        server.start()
        client.authorize_once()
        assert requests.get(server.root + "/health/ready", timeout=10).status_code == 200
        entries = [{"resource": {"resourceType": "Patient", "name": [{"family": f"a{n}"}]},
                    "request": {"method": "POST", "url": "Patient"}} for n in range(400)]  # fmt: skip
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        twins = [twin(client) for _ in range(4)]
        for one in twins:
            one.authorize_once()
        for path in ("Patient/%zz", "Patient/%00", "Patient/%c0%af"):  # this server decodes paths before we see them
            assert send(server, "GET", f"/fhir/{path}").status == 400
        process = server._process
        assert process is not None
        with ThreadPoolExecutor(4) as pool:
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            time.sleep(0.8)
            assert requests.get(server.root + "/health/ready", timeout=10).status_code == 503
            assert requests.get(server.root + "/health/live", timeout=10).status_code == 200
            process.send_signal(signal.SIGTERM)
            time.sleep(max(0.0, began + 1.4 - time.monotonic()))
            late = [pool.submit(twin_.post, "", bundle) for twin_ in twins]  # they outlast the two seconds
            answers = [one.result() for one in late]
        assert process.wait(30) == 0
        assert [answer.status_code for answer in answers] == [200] * 4
        assert time.monotonic() - began < 28
        assert not _is_alive(server.port)
        leftovers = list((tmp_path / "var" / "audit").glob("reads-*.log"))
        assert leftovers == []  # the log of reads was drained
        assert server.unexpected() == []
        server._process = None
        server.start()
        assert client.get("Patient?_summary=count").json()["total"] == 1600


def _is_alive(port: int) -> bool:
    return os.system(f"curl -s -o /dev/null http://127.0.0.1:{port}/health/live") == 0
