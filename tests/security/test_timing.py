"""What a caller may not see answers as what is not there: the same bytes, and no sooner or later (F10).

Times are compared with times of the same run, in pairs taken in turns; ECM_TIMING_PAIRS says how many.
"""

import http.client
import json
import os
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.live import Client
from tests.reliability.site import Site, site

PAIRS = int(os.environ.get("ECM_TIMING_PAIRS", "150"))  # 2000 for a thorough run
HIDDEN = 50
FAIR = 0.04 + 4 / (6 * PAIRS) ** 0.5  # how far from a coin's 0.5: 0.04, and four deviations of a coin thrown so often
_OWN = re.compile(rb'"[0-9a-f-]{16,36}"')

Ask = Callable[[str], tuple[str, str, bytes, dict[str, str]]]


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Site]:
    with site(database_url, tmp_path / "var") as made:
        yield made


def patient(number: int) -> dict[str, object]:
    """A member of the plan."""
    return {"resourceType": "Patient", "birthDate": "1980-01-01", "name": [{"family": f"Family{number}"}]}


def _update(there: str) -> tuple[str, str, bytes, dict[str, str]]:
    body = json.dumps({**patient(1), "id": there}).encode()
    return "PUT", f"Patient/{there}", body, {"If-Match": 'W/"1"'}


def _query(there: str) -> tuple[str, str, bytes, dict[str, str]]:
    asked = f'{{ PatientList(_id: "{there}") {{ id }} TaskList(patient: "Patient/{there}") {{ id }} }}'
    return "POST", "$graphql", json.dumps({"query": asked}).encode(), {"Content-Type": "application/json"}


DOORS: dict[str, Ask] = {
    "read": lambda there: ("GET", f"Patient/{there}", b"", {}),
    "vread": lambda there: ("GET", f"Patient/{there}/_history/1", b"", {}),
    "history": lambda there: ("GET", f"Patient/{there}/_history", b"", {}),
    "update": _update,
    "delete": lambda there: ("DELETE", f"Patient/{there}", b"", {}),
    "search by id": lambda there: ("GET", f"Patient?_id={there}", b"", {}),
    "query": _query,
    "reference": lambda there: ("GET", f"Task?patient=Patient/{there}", b"", {}),
}


class Watch:
    """One connection of the caller who may not see; it times each answer."""

    def __init__(self, server: Site, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self._token = token

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def ask(self, door: Ask, there: str) -> tuple[float, int, bytes]:
        """(seconds, status, the answer without what names the question)."""
        method, path, body, more = door(there)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/fhir+json", **more}
        began = time.perf_counter()
        self._connection.request(method, f"/fhir/{path}", body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        taken = time.perf_counter() - began
        return taken, answer.status, re.sub(_OWN, b'""', content.replace(there.encode(), b"*"))


def chance_of_longer(hidden: list[float], absent: list[float]) -> float:
    """The chance that one of the first takes longer than one of the second (the area under the curve)."""
    ranked = sorted([*((value, True) for value in hidden), *((value, False) for value in absent)])
    places = sum(place for place, (_, is_hidden) in enumerate(ranked, 1) if is_hidden)
    return (places - len(hidden) * (len(hidden) + 1) / 2) / (len(hidden) * len(absent))


@pytest.mark.long
def test_hidden_and_absent_cannot_be_told_apart(server: Site) -> None:
    """F10: by another plan's member and by nobody, at every door: equal status and bytes, and times like a coin's."""
    owner: Client = server.client("plan")
    other: Client = server.client("other-plan")
    server.start()
    hidden = [owner.post("Patient", patient(number)).json()["id"] for number in range(HIDDEN)]
    absent = [str(uuid.UUID(int=uuid.UUID(there).int ^ (1 << 5))) for there in hidden]
    chance = random.Random(7)
    told = {}
    with closing(Watch(server, other.authorize())) as watch:
        for name, door in DOORS.items():
            times: tuple[list[float], list[float]] = ([], [])
            for number in range(PAIRS):
                places = [0, 1] if chance.random() < 0.5 else [1, 0]
                pair = {place: watch.ask(door, (hidden, absent)[place][number % HIDDEN]) for place in places}
                assert pair[0][1:] == pair[1][1:], (name, pair)
                for place in places:
                    times[place].append(pair[place][0])
            told[name] = round(chance_of_longer(*times), 3)
    print(f"{PAIRS} pairs a door, chance that the hidden one takes longer: {told}")
    assert all(abs(value - 0.5) < FAIR for value in told.values()), told
