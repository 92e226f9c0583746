"""Nobody crowds the others out: unfinished jobs of a client, files of an organization, and the end of both (P14)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from fhir_server.engine.build import clock
from fhir_server.jobs import files
from fhir_server.jobs.expiry import DAY, purge
from fhir_server.jobs.worker import Worker
from fhir_server.store.tables import file, job, token
from tests.ecm.scene import as_csv, row
from tests.live import Client, LiveServer, running

SPACE = 12 * files.PIECE
PATH = "Group/$import-assignments?mode=delta"


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[LiveServer]:
    """A server without a worker of its own, whose limits are low."""
    with running(database_url, tmp_path, embedded_worker=False, max_open_jobs=3, max_stored_bytes=SPACE) as live:
        yield live


@pytest.fixture
def plan(server: LiveServer) -> Client:
    """A plan whose rows all name a provider that nobody knows: they are rejected, and that is work enough."""
    return server.client("plan", rights="assign")


def sent(client: Client, body: bytes | None = None) -> Any:
    return client.request("POST", PATH, body or as_csv([row(1)]), headers={"Content-Type": "text/csv"})


def refused(answer: Any) -> str:
    """The diagnostics of a 429 that says when to come again."""
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (429, "throttled"), answer.text
    assert int(answer.headers["Retry-After"]) > 0
    return str(answer.json()["issue"][0]["diagnostics"])


def counted(server: LiveServer, table: Any) -> int:
    return int(server.engine.database.read().execute(select(func.count()).select_from(table)).scalar_one())


def test_a_client_has_so_many_unfinished_jobs(server: LiveServer, plan: Client) -> None:
    """P14: the next one is refused before its file is taken; another client is not; an end makes room."""
    accepted = [sent(plan) for _ in range(3)]
    assert [answer.status_code for answer in accepted] == [202] * 3
    pieces = counted(server, file)
    assert "3 jobs" in refused(sent(plan))
    assert counted(server, file) == pieces
    assert sent(server.client("other-plan", rights="assign")).status_code == 202
    assert plan.delete(accepted[0].headers["Content-Location"]).status_code == 202
    assert sent(plan).status_code == 202
    refused(sent(plan))
    while Worker(server.engine).work_once():
        pass
    assert sent(plan).status_code == 202


def test_jobs_sent_at_once_are_counted_one_by_one(plan: Client) -> None:
    """P14: of many at the same moment exactly so many are taken, and the refused leave no file behind."""
    plan.authorize_once()
    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(answer.status_code for answer in pool.map(lambda _: sent(plan), range(8)))
    assert statuses == [202] * 3 + [429] * 5
    assert counted(plan.server, file) == 3


@pytest.mark.long
def test_an_organization_has_so_much_space(server: LiveServer, plan: Client) -> None:
    """P14: what does not fit is refused and nothing of it is kept; jobs still write their own answers."""
    body = as_csv([row(1, Address="x" * 60) for _ in range(6000)])
    assert 2 * files.PIECE < 4 * len(body) < 12 * files.PIECE
    first = sent(plan, body)
    assert first.status_code == 202, first.text
    pieces = counted(server, file)
    assert str(SPACE) in refused(sent(plan, body * 4))
    assert counted(server, file) == pieces
    assert sent(server.client("other-plan", rights="assign"), body).status_code == 202
    while Worker(server.engine).work_once():
        pass
    done = plan.get(first.headers["Content-Location"])
    assert plan.get(done.json()["output"][0]["url"]).status_code == 200
    assert plan.delete(first.headers["Content-Location"]).status_code == 202
    assert sent(plan, body).status_code == 202


def test_what_is_past_its_time_is_removed(server: LiveServer, plan: Client) -> None:
    """Jobs and files end when their status says they will; an upload that broke off ends after a day; others stay."""
    location = sent(plan).headers["Content-Location"]
    while Worker(server.engine).work_once():
        pass
    unfinished = sent(plan).headers["Content-Location"]
    files.keep(server.engine, 7, "broken", "input", "text/csv", [b"a"] * 70)
    expires = parsedate_to_datetime(plan.get(location).headers["Expires"]).timestamp() * 1000
    days = server.engine.settings.job_days
    assert abs(expires - clock() - days * DAY) < 60_000
    server.engine.database.write(lambda connection: connection.execute(update(token).values(expires=2**62)).rowcount)
    for ahead, removed, status in ((0, 0, 200), (2, 1, 200), (days - 1, 0, 200), (days + 1, 1, 404)):
        server.engine.clock = lambda ahead=ahead: clock() + ahead * DAY  # type: ignore[misc]
        assert purge(server.engine) == removed, ahead
        assert plan.get(location).status_code == status
    assert plan.get(unfinished).status_code == 202
    assert (counted(server, job), counted(server, file)) == (1, 1)
