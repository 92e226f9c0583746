"""Many clients at once over HTTP: one makes it, none is lost, all is contiguous (P1, P4, F12)."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.live import Client
from tests.reliability.site import Site, site, twin

THREADS, ROUNDS = 64, int(os.environ.get("ECM_RACE_ROUNDS", "50"))
WRITERS, INCREMENTS = 32, int(os.environ.get("ECM_RACE_INCREMENTS", "50"))
FAMILY = "Kim"


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Site]:
    with site(database_url, tmp_path / "var") as made:
        yield made


def at_once(number: int, work: Callable[[int], None]) -> list[BaseException]:
    """Failures of so many threads that each do this."""
    failures: list[BaseException] = []

    def one(place: int) -> None:
        try:
            work(place)
        except BaseException as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    threads = [threading.Thread(target=one, args=(place,)) for place in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def hands(client: Client, number: int) -> list[Client]:
    """One connection a thread, all with one token."""
    client.get("metadata")
    made = [twin(client) for _ in range(number)]
    for one in made:
        one.token, one.expires = client.token, client.expires
    return made


def sent_until_taken(client: Client, body: Any, criteria: str) -> requests.Response:
    """The answer to a conditional create; what a full server refuses (P14: 503, Retry-After) is sent again."""
    while True:
        answer = client.post("Organization", body, headers={"If-None-Exist": criteria})
        if answer.status_code != 503:
            return answer
        time.sleep(float(answer.headers["Retry-After"]))


@pytest.mark.long
def test_conditional_creates_make_one(server: Site) -> None:
    """Must-show 4, F12: 64 threads, 50 rounds of If-None-Exist: one 201 each time, and one row."""
    client = server.client("plan")
    server.start()
    many, barrier, seen = hands(client, THREADS), threading.Barrier(THREADS), Counter()
    ids: dict[int, set[str]] = {number: set() for number in range(ROUNDS)}
    lock = threading.Lock()

    def work(place: int) -> None:
        for number in range(ROUNDS):
            mark = [{"system": "urn:race", "value": f"r{number}"}]
            # Organization: no key of its own guards it, the criteria alone do.
            body = {"resourceType": "Organization", "name": FAMILY, "identifier": mark}
            barrier.wait(60)
            answer = sent_until_taken(many[place], body, f"identifier=urn:race|r{number}")
            with lock:
                seen[number, answer.status_code] += 1
                if answer.status_code < 300:
                    ids[number].add(answer.json()["id"])

    assert at_once(THREADS, work) == []
    for number in range(ROUNDS):
        assert seen[number, 201] == 1, {key: value for key, value in seen.items() if key[0] == number}
        assert seen[number, 200] == THREADS - 1
        assert len(ids[number]) == 1
    assert client.get("Organization?identifier=urn:race|&_summary=count").json()["total"] == ROUNDS
    assert server.unexpected() == []


@pytest.mark.long
def test_increments_lose_nothing(server: Site) -> None:
    """Must-show 4, F12: 32 writers, 50 increments each with If-Match: the sum is right, versions are contiguous."""
    client = server.client("plan")
    server.start()
    many, statuses, lock = hands(client, WRITERS), Counter(), threading.Lock()
    start = {
        "resourceType": "Basic",
        "code": {"text": "counter"},
        "extension": [{"url": "urn:count", "valueInteger": 0}],
    }
    made = client.post("Basic", start).json()
    path = f"Basic/{made['id']}"

    def work(place: int) -> None:
        done = 0
        while done < INCREMENTS:
            current = many[place].get(path)
            body = current.json()
            body["extension"][0]["valueInteger"] += 1
            answer = many[place].put(path, body, headers={"If-Match": current.headers["ETag"]})
            with lock:
                statuses[answer.status_code] += 1
            done += answer.status_code == 200
            if answer.status_code != 200:
                time.sleep(random.uniform(0, 0.3))  # as a client should: else most of the work is in vain

    assert at_once(WRITERS, work) == []
    total = WRITERS * INCREMENTS
    assert set(statuses) <= {200, 409, 412}
    assert statuses[200] == total
    end = client.get(path)
    assert end.json()["extension"][0]["valueInteger"] == total
    assert end.headers["ETag"] == f'W/"{total + 1}"'
    assert versions(client, path) == list(range(total + 1, 0, -1))
    assert server.unexpected() == []
    print(dict(statuses))


def versions(client: Client, path: str) -> list[int]:
    """Version numbers of the whole history, page by page."""
    found: list[int] = []
    url = f"{path}/_history?_count=200"
    while url:
        page = client.get(url).json()
        found += [int(entry["resource"]["meta"]["versionId"]) for entry in page.get("entry", [])]
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    return found
