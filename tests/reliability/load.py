"""Writers that remember what was acknowledged, and what they asked for without getting an answer."""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.exceptions import ConnectionError as NoConnection
from urllib3.exceptions import NewConnectionError

from tests.live import Client
from tests.reliability.site import twin

ACTIVE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}
LINK = "urn:uuid:0a5f0000-0000-4000-8000-000000000001"
ACTIONS = ("create", "create", "update", "update", "transaction", "read")


@dataclass
class Memory:
    """What the clients know, shared by all of them."""

    versions: dict[tuple[str, int], str] = field(default_factory=dict)  # (Type/id, version) -> marker in its content
    bundles: dict[str, list[str]] = field(default_factory=dict)  # marker -> its five resources
    open_creates: set[str] = field(default_factory=set)  # markers without an answer
    open_updates: dict[tuple[str, int], str] = field(default_factory=dict)
    open_bundles: set[str] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)  # request ids that were answered
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    strange: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Unanswered(Exception):
    """The request may or may not have been carried out."""


class Writer(threading.Thread):
    """One client that writes until it is told to stop, through restarts of the server."""

    def __init__(self, number: int, client: Client, memory: Memory, seed: int) -> None:
        super().__init__(daemon=True)
        self.client, self.memory = twin(client), memory
        self._random = random.Random(seed)
        self._name, self._count = f"w{number}-{seed:x}", 0
        self._mine: list[tuple[str, int]] = []  # resources this writer may update, with their version
        self.stopped = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Work; a failure of the writer itself is kept for the test."""
        try:
            while not self.stopped.is_set():
                self._turn()
        except BaseException as error:  # noqa: BLE001 - told to the test
            self.failure = error

    def _turn(self) -> None:
        action = self._random.choice(ACTIONS)
        if action in {"update", "read"} and not self._mine:
            action = "create"
        self._count += 1
        try:
            getattr(self, f"_{action}")(f"{self._name}-{self._count}")
        except Unanswered:
            time.sleep(0.02)

    def _ask(self, action: str, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """The answer; Unanswered if there is none or it says 5xx. What was never sent is sent again."""
        while not self.stopped.is_set():
            try:
                answer = self.client.request(method, path, body, **options)
            except NoConnection as error:
                if isinstance(getattr(error.args[0], "reason", None), NewConnectionError):
                    time.sleep(0.1)
                    continue
                raise Unanswered from error
            except requests.RequestException as error:
                raise Unanswered from error
            return self._judged(action, answer)
        raise Unanswered

    def _judged(self, action: str, answer: requests.Response) -> requests.Response:
        with self.memory.lock:
            self.memory.statuses[action, answer.status_code] += 1
            if answer.status_code not in {200, 201, 503}:
                self.memory.strange.append(f"{action} {answer.status_code} {answer.text[:500]}")
        if answer.status_code not in {200, 201}:
            raise Unanswered
        return answer

    def _create(self, marker: str) -> None:
        with self.memory.lock:
            self.memory.open_creates.add(marker)
        answer = self._ask("create", "POST", "Patient", patient(marker))
        with self.memory.lock:
            self.memory.open_creates.discard(marker)
            self.memory.versions[f"Patient/{answer.json()['id']}", 1] = marker
        self._mine.append((answer.json()["id"], 1))

    def _update(self, marker: str) -> None:
        fid, version = self._mine.pop(self._random.randrange(len(self._mine)))
        key = (f"Patient/{fid}", version + 1)
        with self.memory.lock:
            self.memory.open_updates[key] = marker
        body = {**patient(marker), "id": fid}
        answer = self._ask("update", "PUT", f"Patient/{fid}", body, headers={"If-Match": f'W/"{version}"'})
        with self.memory.lock:
            del self.memory.open_updates[key]
            self.memory.versions[key] = marker
        if answer.headers["ETag"] != f'W/"{version + 1}"':
            self.memory.strange.append(f"update of version {version} answered {answer.headers['ETag']}")
        self._mine.append((fid, version + 1))

    def _transaction(self, marker: str) -> None:
        with self.memory.lock:
            self.memory.open_bundles.add(marker)
        answer = self._ask("transaction", "POST", "", bundle(marker))
        places = [one["response"]["location"].split("/fhir/")[-1] for one in answer.json()["entry"]]
        with self.memory.lock:
            self.memory.open_bundles.discard(marker)
            self.memory.bundles[marker] = [place.split("/_history/")[0] for place in places]

    def _read(self, marker: str) -> None:
        fid, version = self._random.choice(self._mine)
        answer = self._ask("read", "GET", f"Patient/{fid}", headers={"X-Request-Id": marker})
        with self.memory.lock:
            self.memory.reads.add(marker)
            if answer.json()["meta"]["versionId"] != str(version):
                self.memory.strange.append(f"read {answer.json()['meta']} where version {version} was acknowledged")


def patient(marker: str) -> dict[str, Any]:
    """A Patient that carries a marker where search finds it."""
    return {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:mark", "value": marker}],
        "name": [{"family": "Kim"}],
    }


def bundle(marker: str) -> dict[str, Any]:
    """A Patient and four Conditions that refer to it, all with one marker."""
    mark = [{"system": "urn:mark", "value": marker}]
    subject = {"reference": LINK}
    about = {"resourceType": "Condition", "clinicalStatus": ACTIVE, "subject": subject, "identifier": mark}
    entries = [{"fullUrl": LINK, "resource": patient(marker), "request": {"method": "POST", "url": "Patient"}}]
    entries += [{"resource": about, "request": {"method": "POST", "url": "Condition"}} for _ in range(4)]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def writers(client: Client, memory: Memory, number: int, seed: int) -> list[Writer]:
    """That many writers, started."""
    made = [Writer(one, client, memory, seed + one) for one in range(number)]
    for writer in made:
        writer.start()
    return made


def stop(made: list[Writer]) -> None:
    """Let them finish the request at hand; a failure of one of them fails the test."""
    for writer in made:
        writer.stopped.set()
    for writer in made:
        writer.join(90)
    for writer in made:
        if writer.failure:
            raise writer.failure
