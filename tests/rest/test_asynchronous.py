"""`Prefer: respond-async`: a batch is taken at once and answered later, as if it had been answered at once."""

import time
from typing import Any

import pytest
import requests
from sqlalchemy import update

from fhir_server.store.tables import job
from tests.live import Client, LiveServer

BASIC = {"resourceType": "Basic", "code": {"text": "a"}}
LATER = {"Prefer": "respond-async"}


def named(value: str) -> dict[str, Any]:
    return {**BASIC, "identifier": [{"system": "urn:names", "value": value}]}


def batch(*entries: tuple[str, str, Any]) -> dict[str, Any]:
    made = [{"request": {"method": method, "url": url}, **({"resource": body} if body else {})}
            for method, url, body in entries]  # fmt: skip
    return {"resourceType": "Bundle", "type": "batch", "entry": made}


def count(client: Client, value: str) -> int:
    return int(client.get(f"Basic?identifier=urn:names|{value}&_summary=count").json()["total"])


def finished(client: Client, url: str) -> requests.Response:
    """The status when the job has ended."""
    end = time.monotonic() + 20
    while (answer := client.get(url)).status_code == 202:
        assert answer.headers["X-Progress"]
        assert time.monotonic() < end
        time.sleep(0.05)
    return answer


def test_a_batch_is_answered_later(clinic: Client, stranger: Client) -> None:
    """B-58: the same answers in the same order, entries for themselves; the job and its file are the client's alone."""
    entries = [("POST", "Basic", named(f"x{n}")) for n in range(30)]
    asked = batch(*entries[:1], ("POST", "Basic", {**BASIC, "foo": 1}), ("GET", "metadata", None), *entries[1:])
    started = clinic.post("", asked, headers=LATER)
    assert (started.status_code, started.content) == (202, b"")
    url = started.headers["Content-Location"]
    manifest = finished(clinic, url)
    assert manifest.status_code == 200
    output = manifest.json()["output"]
    assert [(one["type"], one["count"]) for one in output] == [("Bundle", 32)]
    found = clinic.get(output[0]["url"])
    assert found.headers["Content-Type"].startswith("application/fhir+json")
    bundle = found.json()
    assert (bundle["type"], len(bundle["entry"])) == ("batch-response", 32)
    assert [one["response"]["status"] for one in bundle["entry"]] == ["201", "400", "200", *["201"] * 29]
    assert bundle["entry"][1]["response"]["outcome"]["issue"][0]["code"] == "structure"
    assert [count(clinic, f"x{n}") for n in (0, 29)] == [1, 1]
    assert stranger.get(url).status_code == stranger.get(output[0]["url"]).status_code == 404


def test_what_is_refused_is_refused_at_once(clinic: Client) -> None:
    """Rows 1, 91: no job is made of what is no batch."""
    assert clinic.post("", b"{", headers=LATER).status_code == 400
    assert clinic.post("", {"resourceType": "Bundle", "type": "batch", "entry": [{}]}, headers=LATER).status_code == 400


def test_a_transaction_is_answered_at_once(clinic: Client) -> None:
    """A preference may go unheeded: a transaction is one piece of work and is short."""
    body = {**batch(("POST", "Basic", BASIC)), "type": "transaction"}
    assert clinic.post("", body, headers=LATER).status_code == 200


@pytest.mark.parametrize("key", ["async-key"])
def test_a_batch_asked_twice_is_done_once(clinic: Client, key: str) -> None:
    """P13: two jobs under one key answer alike, and each entry is done once."""
    asked = batch(("POST", "Basic", named("twice")))
    bundles = []
    for _ in range(2):
        started = clinic.post("", asked, headers={**LATER, "Idempotency-Key": key})
        output = finished(clinic, started.headers["Content-Location"]).json()["output"]
        bundles.append(clinic.get(output[0]["url"]).content)
    assert bundles[0] == bundles[1]
    assert count(clinic, "twice") == 1


def test_a_job_taken_up_again_does_nothing_twice(server: LiveServer, clinic: Client) -> None:
    """P11: a worker that dies after the work and before the end of the job."""
    started = clinic.post("", batch(("POST", "Basic", named("again"))), headers=LATER)
    url = started.headers["Content-Location"]
    first = finished(clinic, url).json()["output"]
    before = clinic.get(first[0]["url"]).content
    requeue = update(job).where(job.c.id == url.rpartition("/")[2]).values(state="queued", lease_until=0)
    server.engine.database.write(lambda connection: connection.execute(requeue).rowcount)
    time.sleep(0.6)
    again = finished(clinic, url).json()["output"]
    assert clinic.get(again[0]["url"]).content == before
    assert count(clinic, "again") == 1


def test_scopes_hold_for_the_job(server: LiveServer) -> None:
    """The job has the rights of the token that asked for it, and no more."""
    narrow = server.client("narrow-async", scopes="system/Patient.r")
    started = narrow.post("", batch(("POST", "Basic", named("narrow"))), headers=LATER)
    output = finished(narrow, started.headers["Content-Location"]).json()["output"]
    assert narrow.get(output[0]["url"]).json()["entry"][0]["response"]["status"] == "403"
