"""A real server in a process of its own, started as an operator starts it, and killed as no operator should."""

import contextlib
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import requests

from fhir_server.smart import clients, keys
from fhir_server.store.db import open_database
from tests.live import Client

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """A port that nobody listens on now."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Site:
    """One deployment: a database, a data folder, a port, and the server process when it runs."""

    def __init__(self, url: str, folder: Path, **more: str) -> None:
        self.url, self.folder, self.port = url, folder, free_port()
        self.root = f"http://127.0.0.1:{self.port}"
        self.base = self.root + "/fhir"
        self._more = more
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder / "server.log"
        self.starts: list[float] = []

    def start(self) -> None:
        """Start the server and wait until it answers."""
        began = time.monotonic()
        own = {name: value for name, value in os.environ.items() if not name.startswith("ECM_FHIR_")}
        settings = {
            "data_folder": str(self.folder),
            "database_url": self.url,
            "base_url": self.base,
            "port": str(self.port),
            **self._more,
        }
        environment = own | {f"ECM_FHIR_{name.upper()}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "fhir_server.cli", "serve"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self._wait(began)
        self.starts.append(time.monotonic() - began)

    def _wait(self, began: float) -> None:
        while time.monotonic() < began + 60:
            try:
                if requests.get(self.base + "/metadata", timeout=5).ok:
                    return
            except requests.RequestException:
                pass
            if self._process is None or self._process.poll() is not None:
                break
            time.sleep(0.02)
        message = f"the server does not start:\n{self.log.read_text()[-3000:]}"
        raise AssertionError(message)

    def kill(self) -> None:
        """End every process of the server at once, as a power cut would."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Ask the server to end, and make sure that it has."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
            self.kill()

    def client(self, name: str, **more: Any) -> Client:
        """A client of an organization of its own name, registered while the server may be down."""
        key = keys.generate("ES384")
        scopes = more.pop("scopes", "system/*.cruds")
        with closing(open_database(self.url)) as database:
            clients.register(
                database, client_id=name, name=name, organization=f"Organization/{name}", law_class="covered",
                scopes=scopes, now_ms=int(time.time() * 1000), jwks=keys.key_set(key), purposes="TREAT", **more,
            )  # fmt: skip
        return Client(SimpleNamespace(root=self.root, base=self.base), name, key, scopes)  # type: ignore[arg-type]

    @property
    def session(self) -> int:
        """The session that holds every process of the server; 0 when it is down."""
        return self._process.pid if self._process else 0

    def alive(self) -> bool:
        """Whether the process that was started still runs."""
        return self._process is not None and self._process.poll() is None

    def unexpected(self) -> list[str]:
        """Lines of the server's log that speak of an unforeseen failure."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if '"event": "unexpected"' in line]


def twin(client: Client) -> Client:
    """The same client with a connection of its own, for another thread."""
    return Client(client.server, client.id, client.key, client.scopes)


@contextmanager
def site(url: str, folder: Path, **more: str) -> Iterator[Site]:
    """A deployment whose server is not started yet; whatever runs at the end is killed."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Site(url, folder, **more)
    try:
        yield made
    finally:
        made.kill()


def cycles(name: str, default: int) -> int:
    """How often to do a thing, from the environment: ECM_KILLS_<NAME>."""
    return int(os.environ.get(f"ECM_KILLS_{name}", default))


def chance(seed: int | None = None) -> random.Random:
    """A source of chance whose seed is printed, so that a failing run can be looked at."""
    seed = seed if seed is not None else int(os.environ.get("ECM_KILLS_SEED", secrets.randbits(32)))
    print(f"seed {seed}")
    return random.Random(seed)
