"""A server of one's own for as long as it is needed: started, waited for, stopped."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests

from fhir_server.config import PREFIX
from fhir_server.smart.backend import ClientError

_START_SECONDS = 60
_STOP_SECONDS = 20
_TAIL = 12  # lines of a log that are shown


def answers(base: str) -> bool:
    """Whether a FHIR server answers at this base URL."""
    try:
        return requests.get(f"{base}/metadata", timeout=10).ok
    except requests.RequestException:
        return False


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(base: str, log: Path, settings: Mapping[str, str]) -> Iterator[None]:
    """A server process with these settings (by their names), until the block ends; its output goes to `log`."""
    environment = {**os.environ, **{PREFIX + name.upper(): value for name, value in settings.items()}}
    with log.open("ab") as output:
        command = [sys.executable, "-m", "fhir_server.cli", "serve"]
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)  # noqa: S603 - ourselves
    try:
        _wait(server, base, log)
        yield
    finally:
        server.terminate()
        try:
            server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait(server: "subprocess.Popen[bytes]", base: str, log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while not answers(base):
        if server.poll() is not None or time.monotonic() > until:
            raise ClientError(f"The server did not start. It said at the end:\n{_tail(log)}")
        time.sleep(0.1)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL:])
