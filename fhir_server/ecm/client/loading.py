"""The synthetic world loaded over HTTP, every step as the organization whose step it is; loading again changes nothing.

What the steps are: seed/README.md.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from fhir_server.ecm.client.outcomes import require
from fhir_server.ecm.client.sending import send
from fhir_server.smart.backend import BackendService, ClientError

Clients = Mapping[str, BackendService]
Step = Mapping[str, Any]
Advance = Callable[[int], None]


def steps_of(world: Path) -> list[Step]:
    """The steps of a generated world, in the order of loading."""
    found: list[Step] = json.loads((world / "manifest.json").read_text(encoding="utf-8"))["steps"]
    return found


def load(step: Step, world: Path, clients: Clients, advance: Advance = lambda _count: None) -> None:
    """Make one step; ClientError names the file that the server refused, and why."""
    try:
        _KINDS[step["kind"]](step, world / step["file"], clients, advance)
    except ClientError as error:
        raise ClientError(f"{step['file']}: {error}") from error


def _bundle(step: Step, file: Path, clients: Clients, advance: Advance) -> None:
    client, bundle = clients[step["as"]], json.loads(file.read_text(encoding="utf-8"))
    bundle["entry"] = [entry for entry in bundle["entry"] if not _is_there(entry, client)]
    if bundle["entry"]:
        require(client.post("", bundle), requests.codes.ok)
    advance(step["entries"])


def _is_there(entry: Mapping[str, Any], client: BackendService) -> bool:
    """Whether an entry that is written with PUT would change nothing; creates look after themselves (ifNoneExist)."""
    if entry["request"]["method"] != "PUT":
        return False
    answer = client.get(entry["request"]["url"])
    return answer.ok and _content(answer.json()) == _content(entry["resource"])


def _content(resource: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name != "meta"}


def _assignments(step: Step, file: Path, clients: Clients, advance: Advance) -> None:
    send(clients[step["as"]], file, step["mode"])
    advance(step["entries"])


def _moves(_step: Step, file: Path, clients: Clients, advance: Advance) -> None:
    moves: Sequence[Mapping[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    for move in moves:
        _move(move, clients[move["as"]])
        advance(1)


def _move(move: Mapping[str, Any], client: BackendService) -> None:
    found = require(client.get(move["find"]), requests.codes.ok).json().get("entry", [])
    if not found:
        return
    task = found[0]["resource"]
    if task["status"] != move["from"] or all(task.get(name) == value for name, value in move["set"].items()):
        return
    etag = {"If-Match": f'W/"{task["meta"]["versionId"]}"'}
    require(client.put(f"Task/{task['id']}", {**task, **move["set"]}, headers=etag), requests.codes.ok)


_KINDS = {"bundle": _bundle, "mif": _assignments, "moves": _moves}
