"""Refusals that anybody can cause without end: each is counted in the trail, which does not grow with their number."""

import gzip
import re
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest
import requests
from sqlalchemy import select

from fhir_server.rest.gate import Gate
from fhir_server.rest.shares import Shares
from fhir_server.store.tables import audit
from tests.live import Client, LiveServer
from tests.served import organization, server_of_a_file

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


server = server_of_a_file(max_resource_bytes=1000)
clinic = organization("clinic")


@pytest.fixture(autouse=True)
def minute(server: LiveServer) -> None:
    """Each test has a minute of its own."""
    server.engine.reads.refusals.tell_all()


def events(server: LiveServer, number: str) -> list[tuple[Any, ...]]:
    """(interaction, outcome, client, query) of the events of a request."""
    server.engine.reads.drain()
    columns = [audit.c[name] for name in ("interaction", "outcome", "client", "query")]
    return [
        tuple(row) for row in server.engine.database.read().execute(select(*columns).where(audit.c.request == number))
    ]


def total(server: LiveServer) -> int:
    server.engine.reads.drain()
    return len(server.engine.database.read().execute(select(audit.c.seq)).all())


def test_a_flood_without_a_token_fills_nothing(server: LiveServer) -> None:
    """T29: 200 requests, two events, and their number is known."""
    before = total(server)
    with requests.Session() as session:
        for number in range(200):
            answer = session.get(f"{server.base}/Patient/{number}", headers={"Authorization": f"Bearer {number}"})
            assert answer.status_code == 401
    server.engine.reads.refusals.tell_all()
    assert total(server) - before <= 4  # a minute may have begun meanwhile
    [last] = events(server, answer.headers["X-Request-Id"])
    assert re.fullmatch(r"\d+ more within the minute, the last one: Patient/199", last[3])


def test_what_is_refused_before_it_is_known_is_told(server: LiveServer, clinic: Client) -> None:
    """Section 3, T29: too long, no UTF-8, a method that is none, no room: an event with the request's number."""
    gate = server.app.gate
    too_long = clinic.post("Patient", b'{"resourceType": "Patient"}' + b" " * 1000)
    assert (too_long.status_code, events(server, too_long.headers["X-Request-Id"])) == (
        413, [("POST", 413, "", "/fhir/Patient")],
    )  # fmt: skip
    with closing(HTTPConnection(server.base.split("/")[2], timeout=10)) as raw:
        raw.request("GET", "/fhir/Patient/%zz")
        broken = raw.getresponse()
    assert (broken.status, events(server, broken.headers["X-Request-Id"])[0][:2]) == (400, ("GET", 400))
    odd = requests.request("ODD", f"{server.base}/Patient", timeout=10)
    assert (odd.status_code, events(server, odd.headers["X-Request-Id"])[0][:2]) == (405, ("ODD", 405))
    server.app.gate = Gate(running=0, waiting=0)
    try:
        full = clinic.session.get(f"{server.base}/Patient")
    finally:
        server.app.gate = gate
    assert (full.status_code, events(server, full.headers["X-Request-Id"])) == (
        503, [("GET", 503, "", "/fhir/Patient")],
    )  # fmt: skip


def test_a_client_that_was_told_to_wait_fills_nothing(server: LiveServer, clinic: Client) -> None:
    """P14: 429 after 429, and the client stands in the event."""
    clinic.authorize_once()
    before = server.app.service
    server.app.service = type(before)(before.engine, before.routes, Shares(1))
    try:
        answers = [clinic.get("Patient") for _ in range(9)]
    finally:
        server.app.service = before
    assert [one.status_code for one in answers[1:]] == [429] * 8
    assert events(server, answers[1].headers["X-Request-Id"]) == [("GET", 429, "clinic", "Patient")]
    assert events(server, answers[2].headers["X-Request-Id"]) == []


def test_a_flood_of_token_requests_fills_nothing(server: LiveServer) -> None:
    """T28, section 3: whatever client each names; the answer and the first event carry the request's number."""
    before = total(server)
    answers = [
        requests.post(f"{server.root}/auth/token", data=form, headers=FORM, timeout=10)
        for number in range(20)
        for form in (f"grant_type=client_credentials&client_id=c{number}", "a=1&a=1")
    ]
    assert [one.status_code for one in answers[:2]] == [401, 400]
    assert total(server) - before <= 4
    first, repeated = (events(server, one.headers["X-Request-Id"]) for one in answers[:2])
    assert first == [("oauth", 401, "", "token c0")]
    assert repeated == [("oauth", 400, "", "token")]


def test_who_has_no_token_uploads_nothing(server: LiveServer, clinic: Client) -> None:
    """T21, T29: the token is looked at before the body is read or unpacked; then 401, whatever is sent."""
    bomb = gzip.compress(b"0" * 100_000)
    packed = {"Content-Type": "application/fhir+json", "Content-Encoding": "gzip"}
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        for body, more in ((b" " * 2000, {}), (bomb, packed), (bomb[:-9], packed)):
            answer = requests.post(f"{server.base}/Patient", data=body, headers={**headers, **more}, timeout=10)
            assert (answer.status_code, answer.json()["issue"][0]["code"]) == (401, "login")
    assert requests.post(f"{server.base}/Nonsense", data=bomb, headers=packed, timeout=10).status_code == 404
    assert clinic.post("Patient", bomb, headers=packed).status_code == 413
