"""More than the server can do, work that takes too long, and what it says of its own health (P14, P15, P19)."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlencode

import pytest
import requests

from fhir_server.fhir.errors import TimedOut, Unavailable
from fhir_server.rest.gate import Gate
from fhir_server.rest.health import STOPPING
from fhir_server.store import statements
from fhir_server.store.db import open_database
from tests.live import Client, LiveServer, running
from tests.rest.catalogue import send

ENDLESS = """WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 2000000000)
SELECT count(*) FROM c"""


def test_a_gate_counts() -> None:
    """P14: so many at once, so many wait, the others are refused; a place that is left is taken by who waits."""
    gate, release, inside = Gate(running=2, waiting=1, patience=5), Event(), []

    def work() -> str:
        try:
            held = gate.enter()
        except Unavailable as error:
            return error.headers["Retry-After"]
        inside.append(1)
        release.wait(5)
        gate.leave(held=held)
        return "done"

    with ThreadPoolExecutor(5) as pool:
        first = [pool.submit(work) for _ in range(2)]
        _until(lambda: len(inside) == 2)
        third = pool.submit(work)
        time.sleep(0.05)
        assert pool.submit(work).result(1) == "1"
        assert gate.enter(reserved=True) is False
        release.set()
        assert [one.result(5) for one in (*first, third)] == ["done"] * 3


def test_patience_ends() -> None:
    """P14: nobody waits longer than it says."""
    gate = Gate(running=1, waiting=1, patience=0.05)
    held = gate.enter()
    started = time.monotonic()
    with pytest.raises(Unavailable):
        gate.enter()
    assert 0.04 < time.monotonic() - started < 1
    gate.leave(held=held)
    assert gate.enter()


def test_who_waits_first_goes_first() -> None:
    """P14: a request that comes when a place is left does not overtake those that wait for it."""
    gate, entered = Gate(running=1, waiting=3, patience=5), list[int]()
    held = gate.enter()

    def work(number: int) -> None:
        mine = gate.enter()
        entered.append(number)
        gate.leave(held=mine)

    with ThreadPoolExecutor(3) as pool:
        for number in range(3):
            pool.submit(work, number)
            _until(lambda waiting=number + 1: len(gate._queue) == waiting)
        gate.leave(held=held)
        gate.leave(held=gate.enter())
        assert entered == [0, 1, 2]


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def full(server: LiveServer) -> Iterator[LiveServer]:
    """The server with every place taken, and no patience."""
    before = server.app.gate
    server.app.gate = Gate(running=1, waiting=0)
    server.app.gate.enter()
    yield server
    server.app.gate = before


def test_a_full_server_says_so(full: LiveServer, clinic: Client) -> None:
    """Row 114, P14: 503 transient with Retry-After, in the form of every refusal, for reads and writes."""
    token = clinic.token or "none"
    for method, path, body in (("GET", "Basic", b""), ("POST", "Basic", b"{}"), ("GET", "metadata", b"")):
        answer = send(full, method, path, body, headers={"Authorization": f"Bearer {token}"})
        assert (answer.status, answer.issues[0]["code"], answer.headers["Retry-After"]) == (503, "transient", "1")
        assert answer.headers["X-Request-Id"]


def test_what_gets_through_a_full_server(full: LiveServer) -> None:
    """P14: health, the ends of tokens, what a consent says."""
    assert send(full, "GET", "/health/live").status == 200
    assert send(full, "POST", "/auth/revoke", b"token=x").status in {400, 401}
    assert send(full, "PUT", "Consent/1", b"{}").status == 401
    assert send(full, "PUT", "Basic/Consent", b"{}").status == 503  # another type's resource, whatever its id


def test_a_crowd_is_answered_or_refused(server: LiveServer, clinic: Client) -> None:
    """P14: under many more requests than places each gets 200 or 503 with Retry-After, and the server recovers."""
    before, clinic_token = server.app.gate, clinic.authorize_once()
    server.app.gate = Gate(running=1, waiting=2, patience=0.02)
    headers = {"Authorization": f"Bearer {clinic_token}"}
    try:
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: send(server, "GET", "Basic?_count=1", headers=headers), range(60)))
    finally:
        server.app.gate = before
    assert {answer.status for answer in answers} <= {200, 503}
    assert all("Retry-After" in answer.headers for answer in answers if answer.status == 503)
    assert clinic.get("Basic?_count=1").status_code == 200


def test_a_batch_ends_in_time(server: LiveServer, clinic: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """P15, T29: what is not begun in the time of a transaction is 503 timeout; what was done stays told."""
    clinic.authorize_once()
    clock, calls = server.engine.clock, count()
    monkeypatch.setattr(server.engine, "clock", lambda: clock() + 2000 * next(calls))
    entry = {"request": {"method": "GET", "url": "Basic?_count=1"}}
    answer = clinic.post("", {"resourceType": "Bundle", "type": "batch", "entry": [entry] * 40})
    assert answer.status_code == 200
    told = [one["response"] for one in answer.json()["entry"]]
    done = sum(one["status"] == "200" for one in told)
    assert 0 < done < 20
    assert [one["status"] for one in told] == ["200"] * done + ["503"] * (40 - done)
    assert told[-1]["outcome"]["issue"][0]["code"] == "timeout"


@pytest.mark.long
def test_long_texts_are_not_kept(clinic: Client) -> None:
    """T29: systems, references and dates of a megabyte each are read and forgotten."""

    def ask(number: int) -> None:
        long = f"{number:02}." + "1" * 800_000
        form = {
            "identifier": f"urn:i:{long}|1", "author": f"https://x.example.org/{long}/Practitioner/1",
            "created": f"2026-01-01T00:00:{long}Z",
        }  # fmt: skip
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        found = clinic.post("Basic/_search", urlencode(form), headers=kind)
        assert (found.status_code, found.json()["total"]) == (200, 0), found.text[:500]

    for number in range(10):
        ask(number)
    before = _resident()
    for number in range(10, 60):
        ask(number)
    assert _resident() - before < 60


def _resident() -> int:
    """MiB of memory that this process, which is the server too, holds."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def test_statements_end_in_time(database_url: str) -> None:
    """Row 90, P15: a request's statement is given up; the connection serves the next one. Jobs have no such limit."""
    with closing(open_database(database_url)) as database:
        database.limits = 0.2, 0.2
        started = time.monotonic()
        database.begin_request()
        with pytest.raises(TimedOut) as caught:
            statements.run(database.read(), ENDLESS, [])
        assert 0.1 < time.monotonic() - started < 6
        assert (caught.value.status, caught.value.issues[0].code, caught.value.headers["Retry-After"]) == (
            503,
            "timeout",
            "1",
        )
        database.end_request()
        database.begin_request()
        assert statements.run(database.read(), "SELECT 1", []) == [(1,)]
        assert database.write(database.touch)
        database.end_request()


def test_threads_share_connections(database_url: str) -> None:
    """P14: as many connections as requests at once, however many threads there are."""
    with closing(open_database(database_url)) as database:

        def ask() -> None:
            database.begin_request()
            statements.run(database.read(), "SELECT 1", [])
            database.end_request()

        for _ in range(8):
            thread = Thread(target=ask)
            thread.start()
            thread.join()
        assert len(database._held) == 1


def test_health(server: LiveServer) -> None:
    """P19: live and ready are two questions; neither needs a token, neither tells anything but states."""
    live = requests.get(server.root + "/health/live", timeout=5)
    assert (live.status_code, live.json()) == (200, {"status": "pass"})
    ready = requests.get(server.root + "/health/ready", timeout=5)
    assert ready.status_code == 200
    assert ready.json()["checks"] == dict.fromkeys(("stopping", "database", "schema", "disk", "clock", "audit"), "pass")
    assert ready.headers["Cache-Control"] == "no-store"


def test_readiness_flips_and_recovers(database_url: str, tmp_path: Path) -> None:
    """P19: within a second, by itself, while the process stays alive."""
    with running(database_url, tmp_path / "var") as live:
        ask = lambda: requests.get(live.root + "/health/ready", timeout=10)  # noqa: E731
        assert ask().status_code == 200
        note, live.app.health.fresh_seconds = tmp_path / "var" / STOPPING, 0
        live.engine.reads._failed = True
        _until(lambda: ask().json()["checks"]["audit"] == "fail")
        assert ask().status_code == 503
        assert requests.get(live.root + "/health/live", timeout=5).status_code == 200
        live.engine.reads._failed = False
        _until(lambda: ask().status_code == 200)
        note.write_text("1")  # another process's note means nothing
        assert ask().status_code == 200
        clock, live.engine.clock = live.engine.clock, lambda: 1_600_000_000_000
        _until(lambda: ask().json()["checks"]["clock"] == "fail")
        live.engine.clock = clock
        _until(lambda: ask().status_code == 200)
        live.engine.database.write(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = 'x'").rowcount)
        _until(lambda: ask().json()["checks"]["schema"] == "fail")
