"""The command line of the operator's jobs over all that is stored: asked of a running server, watched to their end."""

import json
import time
from pathlib import Path
from typing import Annotated

import requests
import typer
from rich.console import Console

from fhir_server.config import from_environment
from fhir_server.smart.backend import BackendService, ClientError, key_path, read_key

stored_app = typer.Typer(no_args_is_help=True, help="All that is stored: index it anew, label it anew.")
console = Console()

_PAUSE = 0.5  # seconds between two looks at the job
_Client = Annotated[str, typer.Option(help="Id of the operator's client.")]
_Server = Annotated[str, typer.Option(help="FHIR base URL; default from the settings.")]
_Key = Annotated[Path | None, typer.Option(help="Its key; default clients/ID.json in the data folder.")]


@stored_app.command("reindex")
def reindex(client: _Client, server: _Server = "", key: _Key = None) -> None:
    """Make posted search parameters searchable, and index anew what an older release has stored.

    Example: ecm-fhir stored reindex --client exchange
    """
    _run("reindex", client, server, key)


@stored_app.command("relabel")
def relabel(client: _Client, server: _Server = "", key: _Key = None) -> None:
    """Add the security labels that follow from today's code lists and law classes to all that is stored.

    Broken off here, the job goes on in the server.

    Example: ecm-fhir stored relabel --client exchange
    """
    _run("relabel", client, server, key)


def _run(operation: str, client: str, server: str, key: Path | None) -> None:
    settings = from_environment()
    private = read_key(key or key_path(settings.folder, client))
    service = BackendService(server or settings.base_url, client, private)
    answer = service.post(f"${operation}", {"resourceType": "Parameters"})
    if answer.status_code != requests.codes.accepted:
        raise ClientError(_words(answer))
    place = answer.headers["Content-Location"]
    with console.status(operation) as line:
        while (answer := service.get(place)).status_code == requests.codes.accepted:
            line.update(f"{operation}: {answer.headers.get('X-Progress', '')}")
            time.sleep(_PAUSE)
    if answer.status_code != requests.codes.ok:
        raise ClientError(_words(answer))
    told = {name: value for name, value in answer.json().items() if name in _TOLD}
    console.print(f"{operation}: done. {json.dumps(told)}", markup=False, soft_wrap=True)


_TOLD = ("looked", "labelled", "indexed", "added", "removed", "refused")


def _words(answer: requests.Response) -> str:
    try:
        return str(answer.json()["issue"][0]["diagnostics"])
    except (ValueError, KeyError, IndexError):
        return f"The server answers with status {answer.status_code}."
