"""How many requests one client may send (P14)."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.errors import Throttled
from fhir_server.rest.shares import Shares
from tests.live import Client, LiveServer

MOST = 4


def taken(shares: Shares, client: str = "a") -> int:
    """0, or the seconds to wait."""
    try:
        shares.take(client)
    except Throttled as error:
        return int(error.headers["Retry-After"])
    return 0


@given(most=st.integers(1, 50), gaps=st.lists(st.floats(0, 90), max_size=60))
def test_no_more_than_the_share(most: int, gaps: list[float]) -> None:
    """P14: at once as many as the share, and in any time as many more as minutes have passed; who waits is let in."""
    now = 0.0
    shares, times = Shares(most, lambda: now), []
    for gap in gaps:
        now += gap
        wait = taken(shares)
        if wait:
            assert 1 <= wait <= 60 / most + 1
            now += wait
            assert taken(shares) == 0
        times.append(now)
    for first in range(len(times)):
        for last in range(first, len(times)):
            assert last - first + 1 <= most + most * (times[last] - times[first]) / 60 + 1e-3


def test_each_client_has_its_own_share() -> None:
    """P14: one that sends too much takes nothing from another; without a limit nobody is counted."""
    shares = Shares(MOST, lambda: 0.0)
    assert [taken(shares) for _ in range(MOST + 1)] == [0] * MOST + [15]
    assert taken(shares, "b") == 0
    assert {taken(Shares(0)) for _ in range(100)} == {0}


@given(most=st.integers(1, 50), entries=st.integers(0, 200))
def test_entries_count_like_requests(most: int, entries: int) -> None:
    """P14: who sends a long Bundle waits until as many requests could have been sent one by one."""
    now = 0.0
    shares = Shares(most, lambda: now)
    assert taken(shares) == 0
    for _ in range(entries):
        shares.owe("a")
    free = most - 1 - entries
    assert [taken(shares) for _ in range(max(0, free))] == [0] * max(0, free)
    wait = taken(shares)
    assert abs(wait - 60 / most * (1 + max(0, -free))) < 1.001  # whole seconds
    now += wait
    assert taken(shares) == 0
    assert taken(shares, "b") == 0


@pytest.fixture
def limited(server: LiveServer) -> Iterator[LiveServer]:
    before = server.app.service
    server.app.service = type(before)(before.engine, before.routes, Shares(MOST))
    yield server
    server.app.service = before


def test_a_client_that_sends_too_much_is_told_when_to_go_on(
    limited: LiveServer, clinic: Client, stranger: Client
) -> None:
    """P14, row 113: 429 throttled with Retry-After, for this client alone; what changes a Consent gets through."""
    answers = [clinic.get("Basic?_count=1") for _ in range(MOST + 2)]
    assert [answer.status_code for answer in answers] == [200] * MOST + [429] * 2
    assert answers[-1].json()["issue"][0]["code"] == "throttled"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60 / MOST
    assert stranger.get("Basic?_count=1").status_code == 200
    assert clinic.get("metadata").status_code == 200
    assert clinic.delete("Consent/absent").status_code != 429
    assert clinic.get("Consent/absent").status_code == 429
    for path in ("Patient/Consent-1/$everything", "Consent/$validate", "Consent/absent/$meta-add"):
        assert clinic.post(path, {"resourceType": "Parameters"}).status_code == 429, path
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert clinic.post("Consent/_search", b"_count=1", headers=form).status_code == 429


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_a_bundle_counts_its_entries(limited: LiveServer, kind: str) -> None:
    """P14: a Bundle that is let in is answered whole, and counts as many requests as it has entries."""
    client = limited.client(f"sends-{kind}")
    entry = {"request": {"method": "GET", "url": "Basic?_count=1"}}
    answer = client.post("", {"resourceType": "Bundle", "type": kind, "entry": [entry] * 20})
    assert [one["response"]["status"] for one in answer.json()["entry"]] == ["200"] * 20
    refused = client.get("Basic?_count=1")
    assert refused.status_code == 429
    assert 60 / MOST * 16 < int(refused.headers["Retry-After"]) <= 60 / MOST * 18
