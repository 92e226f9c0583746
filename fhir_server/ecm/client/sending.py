"""An assignment file sent to an exchange: posted, watched until it is taken in, the response file fetched.

The asynchronous pattern is that of https://hl7.org/fhir/R4/async.html
"""

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


@dataclass(frozen=True)
class Imported:
    """What became of a file: counts by kind, the rosters, and the response file."""

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
    manifest = _wait(client, require(kick_off, requests.codes.accepted).headers["Content-Location"], progress)
    output = manifest["output"][0]
    response = require(client.get(output["url"], headers={"Accept": "*/*"}), requests.codes.ok).content
    return Imported(manifest["summary"], manifest["rosters"], response, output["name"])


def _wait(client: BackendService, status_url: str, progress: Callable[[str], None]) -> dict[str, Any]:
    while True:
        answer = require(client.get(status_url), requests.codes.ok, requests.codes.accepted)
        if answer.status_code == requests.codes.ok:
            found: dict[str, Any] = answer.json()
            return found
        progress(answer.headers.get("X-Progress", ""))
        time.sleep(_PAUSE)
