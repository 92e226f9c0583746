"""The world of `scene` with the hold as it is by default, and short words for what is done with files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from fhir_server.ecm import vocabulary as words
from tests.ecm.scene import Scene, cin
from tests.live import Client


def job_of(asked: Any) -> str:
    """The id of the job in an answer."""
    return str(asked.headers["Content-Location"]).rpartition("/")[2]


def send(world: Scene, body: bytes, mode: str = "full", kind: str = "text/csv", **query: str) -> tuple[str, Any]:
    """(job id, what its status answers) of a file of the plan, once it is worked through."""
    asked = world.kick_off(world.plan, body, mode, kind, **query)
    assert asked.status_code == 202, asked.text
    world.work()
    return job_of(asked), world.plan.get(asked.headers["Content-Location"])


def call(world: Scene, name: str, job: str = "", client: Client | None = None) -> Any:
    """The answer of an operation on a file; for one that is a job, its status once it has ended."""
    query = f"?job={job}" if job else ""
    answer = (client or world.plan).request("POST", f"Group/${name}{query}", b"")
    if answer.status_code != 202:
        return answer
    world.work()
    return (client or world.plan).get(answer.headers["Content-Location"])


def rows_of(world: Scene, manifest: Mapping[str, Any], kind: str) -> list[dict[str, str]]:
    """The rows of a file that a job has written."""
    url = next(one["url"] for one in manifest["output"] if one["type"] == kind)
    text = world.plan.get(url).content.decode("utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def sees(client: Client, number: int) -> bool:
    """Whether a client finds the member of this number."""
    return "entry" in client.get(f"Patient?identifier={words.CIN}|{cin(number)}").json()


def seen(world: Scene, numbers: range | list[int], *providers: str) -> dict[str, list[int]]:
    """Which of the members each provider finds."""
    return {name: [number for number in numbers if sees(world.clients[name], number)] for name in providers}
