"""An assignment file sent to an exchange: posted, watched until it is taken in, the response file fetched.

The asynchronous pattern is that of https://hl7.org/fhir/R4/async.html
"""

import csv
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import requests

from fhir_server.ecm.client.outcomes import require
from fhir_server.smart.backend import BackendService

MEDIA_TYPES = {
    ".csv": "text/csv",
    ".txt": "text/plain",
    ".psv": "text/plain",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_PAUSE = 0.2  # seconds between two looks at a running job


_SAYS = ("new", "changed", "unchanged", "dropped")


@dataclass(frozen=True)
class Imported:
    """What became of a file: its job and state, counts by kind, the rosters, and the response file.

    Of a file that is held, the counts are what it would do, and the file is the preview.
    """

    job: str
    state: str
    summary: dict[str, int]
    rosters: list[dict[str, Any]]
    response: bytes
    name: str


def send(
    client: BackendService, file: Path, mode: str, progress: Callable[[str], None] = lambda _text: None
) -> Imported:
    """Send a file and wait until it is taken in; ClientError in the server's words if it is refused or fails."""
    parameters = urlencode({"mode": mode, "file-name": file.name})
    media_type = MEDIA_TYPES.get(file.suffix.lower(), "application/octet-stream")
    with file.open("rb") as body:
        kick_off = client.post(f"Group/$import-assignments?{parameters}", body, headers={"Content-Type": media_type})
    return _imported(client, require(kick_off, requests.codes.accepted).headers["Content-Location"], progress)


def rows_of(imported: Imported) -> list[dict[str, str]]:
    """The rows of the file that came back, if it is CSV."""
    return list(csv.DictReader(io.StringIO(imported.response.decode("utf-8-sig"))))


def decide(client: BackendService, operation: str, job: str = "") -> Imported | None:
    """Call an operation on a file (confirm-file, withdraw-file, recall-file, resolve-parked) and wait for its end.

    None if nothing had to be waited for; ClientError in the server's words if it is refused.
    """
    query = f"?{urlencode({'job': job})}" if job else ""
    answer = require(
        client.post(f"Group/${operation}{query}", b"", headers={"Content-Type": "application/fhir+json"}),
        requests.codes.ok,
        requests.codes.accepted,
    )
    if answer.status_code == requests.codes.ok:
        return None
    return _imported(client, answer.headers["Content-Location"], lambda _text: None)


def parked(client: BackendService) -> str:
    """The rows that wait for a decision, as CSV."""
    return require(client.get("Group/$parked-rows", headers={"Accept": "text/csv"}), requests.codes.ok).text


def _imported(client: BackendService, place: str, progress: Callable[[str], None]) -> Imported:
    manifest = _wait(client, place, progress)
    held = manifest.get("held")
    summary = {name: held[name] for name in _SAYS} if held else manifest["summary"]
    rosters = held["rosters"] if held else manifest.get("rosters", [])
    file, name = b"", ""
    for output in manifest["output"][:1]:
        name = output["name"]
        file = require(client.get(output["url"], headers={"Accept": "*/*"}), requests.codes.ok).content
    return Imported(place.rpartition("/")[2], manifest.get("state", ""), summary, rosters, file, name)


def _wait(client: BackendService, status_url: str, progress: Callable[[str], None]) -> dict[str, Any]:
    while True:
        answer = require(client.get(status_url), requests.codes.ok, requests.codes.accepted)
        if answer.status_code == requests.codes.ok:
            found: dict[str, Any] = answer.json()
            return found
        progress(answer.headers.get("X-Progress", ""))
        time.sleep(_PAUSE)
