"""Nothing that is sent makes the server fail: no answer of 500, no dead worker, flat memory, nothing of others' told.

How many requests: ECM_FUZZ_REQUESTS (100000 for a thorough run); ECM_KILLS_SEED repeats a run.
"""

import http.client
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fhir_server.fhir.definitions import Definitions, load
from tests import hermit
from tests.fuzz.generator import Generator, Sent
from tests.live import Client
from tests.reliability.site import Site, chance, site

ROOT = Path(__file__).parents[2]
REQUESTS = int(os.environ.get("ECM_FUZZ_REQUESTS", "4000"))
THREADS = 4
ROOM = 128 * 2**20  # bytes that compiled statements and other bounded caches may take
SHOWN = int(os.environ.get("ECM_FUZZ_SHOWN", "5"))
UNAVAILABLE = 503


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Site]:
    with site(database_url, tmp_path / "var") as made:
        yield made


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return load([ROOT / "profiles" / "ecm"])


@dataclass
class Attacker:
    """One connection that sends what its generator makes, and remembers what should not have come back."""

    server: Site
    token: str
    generator: Generator
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    connection: http.client.HTTPConnection | None = None

    def work(self, number: int) -> None:
        """Send so many requests."""
        for _ in range(number):
            sent = self.generator.next()
            try:
                self._judge(sent, *self._send(sent))
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{type(error).__name__} {error} after {shown(sent)}")
                self.hang_up()

    def hang_up(self) -> None:
        """Close the connection; the next request opens another."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _send(self, sent: Sent) -> tuple[int, str, bytes]:
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        headers = {"Authorization": f"Bearer {self.token}", **sent.headers}
        path = "/fhir" + "".join(sign for sign in sent.path if " " < sign < "\x7f")
        self.connection.putrequest(sent.method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            self.connection.putheader(name, value.encode("latin-1", "replace"))
        self.connection.putheader("Content-Length", str(len(sent.body)))
        self.connection.endheaders(sent.body)
        answer = self.connection.getresponse()
        return answer.status, answer.getheader("Location") or "", answer.read()

    def _judge(self, sent: Sent, status: int, location: str, body: bytes) -> None:
        self.statuses[status] += 1
        if status >= 500 and status not in {501, UNAVAILABLE}:
            self.failures.append(f"{status} for {shown(sent)}: {body[:300]!r}")
        elif hermit.MARK.encode() in body or hermit.MARK in location:
            self.failures.append(f"what nobody may see, for {shown(sent)}")
        elif status >= 400 and sent.method != "HEAD" and not explained(body):
            self.failures.append(f"{status} without an OperationOutcome for {shown(sent)}: {body[:300]!r}")
        if location and len(self.generator.known) < 200:
            self.generator.known.append("/".join(location.partition("/_history")[0].split("/")[-2:]))


def explained(body: bytes) -> bool:
    """Whether an error says what is wrong; those of a query in GraphQL each hold their OperationOutcome."""
    try:
        found = json.loads(body)
    except ValueError:
        return b"OperationOutcome" in body
    told = [error["extensions"]["resource"] for error in found["errors"]] if "errors" in found else [found]
    outcomes = all(one.get("resourceType") == "OperationOutcome" for one in told)
    return bool(told) and outcomes and all(issue["diagnostics"] for one in told for issue in one["issue"])


def shown(sent: Sent) -> str:
    """A request in a line that can be sent again."""
    return f"{sent.method} {sent.path[:300]} {sent.headers} {sent.body[:1500]!r}"


def resident(site: Site) -> int:
    """Bytes of memory that the server's processes hold."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        if lines.get("NSsid", "").strip() == str(site.session):
            total += int(lines.get("VmRSS", "0 kB").split()[0]) * 1024
    return total


def move_in(server: Site) -> None:
    """An organization that nobody is related to stores its records."""
    client: Client = server.client(hermit.MARK, rights="update-create")
    server.start()
    for type_, content in hermit.RECORDS.items():
        body = {"resourceType": type_, "id": f"{hermit.MARK}-{type_}", **hermit.COMMON, **content}
        stored = client.put(f"Patient/{body['id']}", body) if type_ == "Patient" else client.post(type_, body)
        assert stored.status_code == 201, stored.text


def attackers(server: Site, client: Client, definitions: Definitions) -> list[Attacker]:
    """As many as there are threads, each with its own chance."""
    examples = sorted((ROOT / "profiles" / "ecm" / "examples").glob("*.json"))
    models = [json.loads(path.read_text()) for path in examples]
    operations = sorted({found["code"] for found in definitions.all("OperationDefinition")})
    seeds = chance()
    made = (Generator(definitions, models, operations, chance(seeds.randrange(2**32))) for _ in range(THREADS))
    return [Attacker(server, client.authorize(), generator) for generator in made]


def at_once(crowd: list[Attacker], number: int) -> None:
    """Let each send so many requests, and hang up."""
    threads = [threading.Thread(target=one.work, args=(number,)) for one in crowd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in crowd:
        one.hang_up()


@pytest.mark.long
def test_nothing_sent_makes_the_server_fail(server: Site, definitions: Definitions) -> None:
    """Rows 1-122 as a crowd: hostile requests over the real socket, 0 answers of 500, 0 deaths, memory flat."""
    client: Client = server.client("plan", rights="update-create")
    move_in(server)
    crowd = attackers(server, client, definitions)
    at_once(crowd, REQUESTS // THREADS // 2)
    half_way = resident(server)
    for one in crowd:
        one.token = client.authorize()
    at_once(crowd, REQUESTS // THREADS // 2)
    grown = resident(server) - half_way
    failures: list[Any] = [failure for one in crowd for failure in one.failures]
    statuses = sum((one.statuses for one in crowd), Counter[int]())
    print(f"{REQUESTS} requests, {dict(statuses)}, grown {grown / 2**20:.1f} MiB")
    assert not failures, f"{len(failures)} failures:\n" + "\n".join(failures[:SHOWN])
    assert not server.unexpected()
    assert server.alive()
    assert grown < ROOM
    assert client.get("metadata").ok
