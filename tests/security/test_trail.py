"""What leaves a trail: every refusal, with who and from where; no request fills the trail or goes without one."""

import time
from typing import Any

import pytest
import requests
from sqlalchemy import select

from fhir_server.smart import keys
from fhir_server.store.tables import audit
from tests.live import Client, LiveServer
from tests.served import organization, server_of_a_file

PROXY = "127.0.0.1"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BASIC = {"resourceType": "Basic", "code": {"text": "a"}, "identifier": [{"system": "urn:trail", "value": "1"}]}
NOBODY = {"resourceType": "Patient", "name": [{"family": "Nobody"}], "birthDate": "1999-01-01"}


server = server_of_a_file(proxies=f"10.9.9.9 {PROXY}")


@pytest.fixture(autouse=True)
def minute(server: LiveServer) -> None:
    """Each test has a minute of its own: its first refusals are told one by one."""
    server.engine.reads.refusals.tell_all()


clinic = organization("clinic")
stranger = organization("stranger")


@pytest.fixture(scope="module")
def known(clinic: Client) -> str:
    clinic.post("Basic", BASIC)
    return str(clinic.post("Basic", BASIC).json()["id"])


def trail(server: LiveServer, answer: requests.Response) -> list[tuple[Any, ...]]:
    """(interaction, outcome, client, address, query) of the events of a request."""
    server.engine.reads.drain()
    columns = [audit.c[name] for name in ("interaction", "outcome", "client", "address", "query")]
    wanted = select(*columns).where(audit.c.request == answer.headers["X-Request-Id"])
    return [tuple(row) for row in server.engine.database.read().execute(wanted)]


def page(client: Client, path: str) -> str:
    links = client.get(path).json()["link"]
    return next(str(link["url"]) for link in links if link["relation"] == "next")


def test_every_refusal_leaves_one_event(server: LiveServer, clinic: Client, stranger: Client, known: str) -> None:
    """T30, L17, section 3: hidden and absent alike, pages and jobs of others, searches that find nothing."""
    jobs = [stranger.get("_jobs/none"), stranger.get("_jobs/none/file"), stranger.delete("_jobs/none")]
    for refused in (
        stranger.get(page(clinic, "Basic?_count=1")),
        stranger.get(page(clinic, "Basic/_history?_count=1")),
        stranger.get(f"Basic/{known}"),
        stranger.get("Basic/absent"),
        stranger.get(f"Basic/{known}/_history/1"),
        stranger.delete(f"Basic/{known}"),
        stranger.patch("Basic?identifier=urn:trail|1", []),
        *jobs,
    ):
        assert refused.status_code == 404
        assert [event[1:4] for event in trail(server, refused)] == [(404, "stranger", PROXY)]
    nothing = stranger.delete("Basic?identifier=urn:trail|1")
    assert trail(server, nothing) == [("delete", 204, "stranger", PROXY, "Basic?identifier=urn%3Atrail%7C1")]
    assert [event[:3] for event in trail(server, stranger.post("Patient/$match", NOBODY))] == [
        ("match", 200, "stranger")
    ]


def test_an_entry_that_is_refused_leaves_one_event(server: LiveServer, stranger: Client, known: str) -> None:
    """B-58: in a batch as alone."""
    entry = {"request": {"method": "GET", "url": f"Basic/{known}"}}
    answer = stranger.post("", {"resourceType": "Bundle", "type": "batch", "entry": [entry, entry]})
    assert [event[:3] for event in trail(server, answer)] == [("read", 404, "stranger")] * 2


def test_a_cancelled_job_leaves_an_event(server: LiveServer, clinic: Client, known: str) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": f"Basic/{known}"}}],
    }
    begun = clinic.post("", bundle, headers={"Prefer": "respond-async"})
    job = begun.headers["Content-Location"].rpartition("/")[2]
    ended = clinic.delete(f"_jobs/{job}")
    assert [(event[0], event[4]) for event in trail(server, ended)] == [("job-cancel", job)]


@pytest.mark.parametrize(("named", "address"), [
    ("", PROXY), ("203.0.113.7", "203.0.113.7"), ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
    ("203.0.113.7, 10.9.9.9", "203.0.113.7"), ("10.9.9.9", "10.9.9.9"),
])  # fmt: skip
def test_behind_a_proxy_the_address_is_the_sender_s(server: LiveServer, named: str, address: str) -> None:
    """B2, section 3: who listed proxies say it is, never who the sender says; without a token as well."""
    headers = {"X-Forwarded-For": named} if named else {}
    refused = requests.get(f"{server.base}/Basic", headers=headers, timeout=30)
    assert [event[:4] for event in trail(server, refused)] == [("GET", 401, "", address)]


def test_without_a_listed_proxy_nobody_names_an_address(server: LiveServer, clinic: Client) -> None:
    """B2."""
    settings = server.engine.settings
    object.__setattr__(settings, "proxies", "10.9.9.9")
    try:
        refused = requests.get(f"{server.base}/Basic", headers={"X-Forwarded-For": "203.0.113.7"}, timeout=30)
    finally:
        object.__setattr__(settings, "proxies", f"10.9.9.9 {PROXY}")
    assert [event[3] for event in trail(server, refused)] == [PROXY]


def asked(server: LiveServer, client: Client, sender: str, key: Any = None) -> int:
    """The status of a token request from an address."""
    url = server.root + "/auth/token"
    signed = keys.sign_assertion(key or client.key, client.id, url, time.time_ns() // 10**6, jti=f"j-{time.time_ns()}")
    form = keys.token_form(signed, "system/*.rs")
    return requests.post(url, data=form, headers={"X-Forwarded-For": sender}, timeout=30).status_code


def test_nobody_locks_another_out_from_elsewhere(server: LiveServer, clinic: Client) -> None:
    """T28: failures are counted for the address they come from, not for the proxy that all come through."""
    wrong = {**keys.generate("ES384"), "kid": clinic.key["kid"]}
    assert [asked(server, clinic, "203.0.113.66", wrong) for _ in range(6)] == [401] * 5 + [429]
    assert asked(server, clinic, "203.0.113.5") == 200


def test_what_the_token_endpoint_did_is_told(server: LiveServer, clinic: Client) -> None:
    """Section 3: issue, introspection and revocation are told apart, with what was granted."""
    token = clinic.authorize("system/Basic.rs")
    numbers = {"introspect": "oauth:1", "revoke": "oauth:2"}
    for name, number in numbers.items():
        headers = {"Authorization": f"Bearer {token}", "X-Request-Id": number}
        answer = requests.post(f"{server.root}/auth/{name}", data={"token": token}, headers=headers, timeout=30)
    server.engine.reads.drain()
    wanted = select(audit.c.query).where(audit.c.interaction == "oauth").order_by(audit.c.at.desc(), audit.c.seq.desc())
    told = server.engine.database.read().execute(wanted.limit(3)).scalars().all()
    assert [event[4] for event in trail(server, answer)] == ["revocation clinic"]
    assert told == ["revocation clinic", "introspection clinic", "token clinic system/Basic.rs"]


def test_no_token_without_a_trail(server: LiveServer, clinic: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 115: 503 in the words of RFC 6749, and no token."""
    monkeypatch.setattr(server.engine.reads, "_failed", True)
    url = server.root + "/auth/token"
    signed = keys.sign_assertion(clinic.key, clinic.id, url, time.time_ns() // 10**6, jti=f"j-{time.time_ns()}")
    answer = requests.post(url, data=keys.token_form(signed, "system/*.rs"), timeout=30)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_long_search_does_not_fill_the_trail(server: LiveServer, clinic: Client) -> None:
    """T29, T30: of megabytes the beginning and a digest."""
    found = clinic.post("Basic/_search", "identifier=" + "a" * 900_000, headers=FORM)
    assert found.status_code == 200
    [event] = trail(server, found)
    assert len(event[4]) < 70_000
    assert " characters, SHA-256 " in event[4]
