"""Many clients at one resource at once: conditional creates, updates with their tags, claims of a referral."""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, local
from typing import Any

import pytest

from tests.live import Client, LiveServer
from tests.rest.scene import organization, referral

pytestmark = pytest.mark.long

ROUNDS = int(os.environ.get("ECM_TEST_ROUNDS", "50"))
_SESSIONS = local()


class Crowd:
    """The same client with a connection for each thread."""

    def __init__(self, client: Client) -> None:
        self._client = client
        client.authorize_once()

    def request(self, *arguments: Any, **options: Any) -> Any:
        """One request of the calling thread."""
        kept: dict[str, Client] = _SESSIONS.__dict__.setdefault("clients", {})
        whole = self._client
        if whole.server.root + whole.id not in kept:
            one = Client(whole.server, whole.id, whole.key, whole.scopes)
            one.token, one.expires = whole.token, whole.expires
            kept[whole.server.root + whole.id] = one
        return kept[whole.server.root + whole.id].request(*arguments, **options)


def all_at_once(number: int, act: Any) -> list[Any]:
    """The results of `act(0..number-1)`, started together."""
    barrier = Barrier(number)

    def started(place: int) -> Any:
        barrier.wait()
        return act(place)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(started, range(number)))


def test_conditional_creates_make_one(clinic: Client) -> None:
    """B-54: 64 threads, 50 rounds, one row each time, and everybody is told the same id."""
    crowd = Crowd(clinic)

    def create(value: str) -> tuple[int, str]:
        body = {"resourceType": "Basic", "code": {"text": "a"}, "identifier": [{"system": "urn:r", "value": value}]}
        answer = crowd.request("POST", "Basic", body, headers={"If-None-Exist": f"identifier=urn:r|{value}"})
        return answer.status_code, answer.headers.get("Location", answer.text)

    def rounds(_: int) -> list[tuple[int, str]]:
        return [create(f"{number}") for number in range(ROUNDS)]

    for answers in zip(*all_at_once(64, rounds), strict=True):
        assert sorted(status for status, _ in answers) == [200] * 63 + [201]
        assert len({location for _, location in answers}) == 1
    for number in range(ROUNDS):
        assert clinic.get(f"Basic?identifier=urn:r|{number}&_summary=count").json()["total"] == 1


def test_increments_with_tags_lose_nothing(clinic: Client) -> None:
    """B-06, B-13: 32 writers, 50 increments each: the sum is right, the versions have no gap."""
    crowd, total = Crowd(clinic), 32 * ROUNDS
    fid = clinic.post("Observation", {"resourceType": "Observation", "status": "final", "code": {"text": "a"},
                                      "valueInteger": 0}).json()["id"]  # fmt: skip
    path = f"Observation/{fid}"

    def increment() -> None:
        while True:
            read = crowd.request("GET", path)
            body = read.json()
            body["valueInteger"] += 1
            answer = crowd.request("PUT", path, body, headers={"If-Match": read.headers["ETag"]})
            if answer.status_code == 200:
                return
            assert answer.status_code in {409, 412}, answer.text
            time.sleep(random.random() * 0.2)  # else most of the time goes into losing

    all_at_once(32, lambda _: [increment() for _ in range(ROUNDS)])
    final = clinic.get(path).json()
    assert final["valueInteger"] == total
    assert final["meta"]["versionId"] == str(total + 1)
    url, values = f"{path}/_history?_count=200", []
    while url:
        bundle = clinic.get(url).json()
        values += [(one["resource"]["valueInteger"], one["resource"]["meta"]) for one in bundle["entry"]]
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    assert [value for value, _ in values] == list(range(total, -1, -1))
    assert [int(meta["versionId"]) for _, meta in values] == list(range(total + 1, 0, -1))
    times = [meta["lastUpdated"] for _, meta in values]
    assert times == sorted(times, reverse=True)


def test_a_referral_is_claimed_once(server: LiveServer, clinic: Client, registrar: Client) -> None:
    """Of several candidates that accept an open Task at once, exactly one has it."""
    names = [f"bank{number}" for number in range(6)]
    own, *candidates = [organization(registrar, name)["reference"] for name in ("clinic", *names)]
    banks = [Crowd(server.client(name, law_class="non-hipaa")) for name in names]
    for _ in range(max(ROUNDS // 5, 2)):
        made = clinic.post("Task", referral(clinic, own, candidates, "requested"))
        assert made.status_code == 201, made.text
        task, tag = made.json(), made.headers["ETag"]

        def claim(place: int, task: Any = task, tag: str = tag) -> int:
            body = {**task, "status": "accepted", "owner": {"reference": candidates[place]}}
            answer = banks[place].request("PUT", f"Task/{task['id']}", body, headers={"If-Match": tag})
            return int(answer.status_code)

        statuses = all_at_once(len(banks), claim)
        assert statuses.count(200) == 1, statuses
        assert set(statuses) <= {200, 404, 405, 409, 412}
        winner = candidates[statuses.index(200)]
        assert clinic.get(f"Task/{task['id']}").json()["owner"]["reference"] == winner
        seen = [bank.request("GET", f"Task/{task['id']}").status_code for bank in banks]
        assert [status == 200 for status in seen] == [status == 200 for status in statuses]
