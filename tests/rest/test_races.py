"""Many candidates at one open referral, a Patient changed while it is referred (other races: tests/reliability)."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, local
from typing import Any

import pytest

from tests.live import Client, LiveServer
from tests.rest.scene import organization, referral

pytestmark = pytest.mark.long

ROUNDS = 10
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


def test_a_referral_is_claimed_once(server: LiveServer, clinic: Client, registrar: Client) -> None:
    """Of several candidates that accept an open Task at once, exactly one has it."""
    names = [f"bank{number}" for number in range(6)]
    own, *candidates = [organization(registrar, name)["reference"] for name in ("clinic", *names)]
    banks = [Crowd(server.client(name, law_class="non-hipaa")) for name in names]
    for _ in range(ROUNDS):
        made = clinic.post("Task", referral(clinic, own, candidates, "requested"))
        assert made.status_code == 201, made.text
        task, tag = made.json(), made.headers["ETag"]

        def claim(place: int, task: Any = task, tag: str = tag) -> int:
            body = {**task, "status": "accepted", "owner": {"reference": candidates[place]}}
            answer = banks[place].request("PUT", f"Task/{task['id']}", body, headers={"If-Match": tag})
            return int(answer.status_code)

        statuses = all_at_once(len(banks), claim)
        assert statuses.count(200) == 1, statuses
        # A loser is told what is true at its moment: another version, no party any more, or nothing there for it.
        assert set(statuses) <= {200, 404, 405, 409, 412, 422}
        winner = candidates[statuses.index(200)]
        assert clinic.get(f"Task/{task['id']}").json()["owner"]["reference"] == winner
        seen = [bank.request("GET", f"Task/{task['id']}").status_code for bank in banks]
        assert [status == 200 for status in seen] == [status == 200 for status in statuses]


def test_a_contact_view_is_of_the_last_version(server: LiveServer, clinic: Client, registrar: Client) -> None:
    """P4, R5: a Patient changes while its first two Tasks are written: who is shown it is shown its last version."""
    own, *candidates = [organization(registrar, name)["reference"] for name in ("clinic", "shelf0", "shelf1")]
    banks = [server.client(name, law_class="non-hipaa") for name in ("shelf0", "shelf1")]
    for turn in range(4 * ROUNDS):
        tasks = [referral(clinic, own, [one], "requested") for one in candidates]
        subject = tasks[0]["for"]
        tasks[1] |= {name: tasks[0][name] for name in ("for", "focus")}
        path = subject["reference"]
        crowd = Crowd(clinic)

        def act(place: int, tasks: Any = tasks, path: str = path, crowd: Any = crowd, turn: int = turn) -> int:
            if place:
                return int(crowd.request("POST", "Task", tasks[place - 1]).status_code)
            body = {"resourceType": "Patient", "id": path.split("/")[1], "name": [{"family": f"Turn{turn}"}]}
            return int(crowd.request("PUT", path, body).status_code)

        assert all_at_once(3, act) == [200, 201, 201]
        whole = clinic.get(path)
        for bank in banks:
            shown = bank.get(path)
            assert (shown.status_code, shown.headers["ETag"]) == (200, whole.headers["ETag"])
            assert shown.json()["name"] == whole.json()["name"]
