"""The servers under measurement: our own and the empty one, each the real command in a process of its own."""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from fhir_server.engine.build import clock
from fhir_server.smart import clients, keys
from fhir_server.store.db import Database, open_database
from fhir_server.store.migrations import migrate

ROOT = Path(__file__).parent.parent
JSON = "application/fhir+json"
_START_SECONDS = 60
_COMMAND = "from fhir_server.cli import main; main()"


@dataclass
class Client:
    """A registered client: requests as bytes for the generator, or answered here."""

    root: str
    id: str
    key: Any
    scopes: str
    session: requests.Session = field(default_factory=requests.Session)

    def token(self) -> str:
        """A fresh access token, good for five minutes."""
        url = self.root + "/auth/token"
        assertion = keys.sign_assertion(self.key, self.id, url, int(time.time() * 1000), jti=secrets.token_hex(8))
        answer = self.session.post(url, data=keys.token_form(assertion, self.scopes), timeout=30)
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def call(self, method: str, path: str, body: bytes = b"", media_type: str = JSON) -> requests.Response:
        """One answer below the FHIR base; RuntimeError says what was refused."""
        url = path if path.startswith("http") else f"{self.root}/fhir/{path}".rstrip("/")
        headers = {"Authorization": f"Bearer {self.token()}", "Content-Type": media_type}
        answer = self.session.request(method, url, data=body, headers=headers, timeout=600)
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer


def request(token: str, method: str, path: str, body: bytes = b"") -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} /fhir/{path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}", f"Accept: {JSON}"]
    if method != "GET":
        lines += [f"Content-Type: {JSON}", f"Content-Length: {len(body)}", "Prefer: return=minimal"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Server:
    """A running server: its port, its process and the database behind it."""

    port: int
    process: "subprocess.Popen[bytes]"
    database: Database
    url: str
    threads: int
    workers: int

    @property
    def root(self) -> str:
        """The URL it answers at."""
        return f"http://127.0.0.1:{self.port}"

    def memory(self) -> int:
        """What its processes hold of their own, in bytes; not the pages of the database file that the kernel maps."""
        return sum(_held(pid) for pid in _family(self.process.pid))


def _family(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += _family(int(child))
    return found


def _held(pid: int) -> int:
    """Asked many times a second: the kernel keeps this number, others it would count by walking every page."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), 0)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def our_server(url: str, folder: Path) -> Iterator[Server]:
    """`ecm-fhir serve` over a migrated database, with its default settings."""
    port, on_sqlite = free_port(), url.startswith("sqlite")
    workers, threads = (1, 32) if on_sqlite else (2, 16)
    settings = {"DATA_FOLDER": str(folder), "DATABASE_URL": url, "PORT": str(port),
                "BASE_URL": f"http://127.0.0.1:{port}/fhir"}  # fmt: skip
    environment = {**os.environ, **{f"ECM_FHIR_{name}": value for name, value in settings.items()}}
    command = [sys.executable, "-c", _COMMAND, "serve"]
    database = open_database(url)
    try:
        with _process(command, environment, folder / "server.log", f"http://127.0.0.1:{port}/fhir/metadata") as process:
            yield Server(port, process, database, url, threads, workers)
    finally:
        database.close()


@contextmanager
def empty_server(like: Server) -> Iterator[int]:
    """The empty Flask view on the same granian settings; its port."""
    port = free_port()
    command = [sys.executable, "-m", "bench.empty", str(port), str(like.workers), str(like.threads)]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "empty.log"
        with _process(command, dict(os.environ), log, f"http://127.0.0.1:{port}/fhir/"):
            yield port


@contextmanager
def _process(
    command: list[str], environment: dict[str, str], log: Path, ready: str
) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)  # noqa: S603
    try:
        _wait(process, ready, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", ready: str, log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            if requests.get(ready, timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise RuntimeError(f"The server did not start: {log.read_text()[-2000:]}")


def generate(out: Path, *options: str) -> Path:
    """The synthetic world, or one large file of it."""
    command = [sys.executable, "-m", "seed.generate", str(out), *options]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)  # noqa: S603
    return out


def prepare(url: str, world: Path) -> dict[str, dict[str, Any]]:
    """Migrate the database and register the world's clients; each with its new key."""
    database = open_database(url)
    migrate(database)
    found = {}
    for row in json.loads((world / "clients.json").read_text()):
        key = keys.generate("ES384")
        clients.register(
            database, client_id=row["id"], name=row["name"], organization=row["organization"],
            law_class=row["law_class"], scopes=row["scopes"], now_ms=clock(), purposes=" ".join(row["purposes"]),
            rights=" ".join(row["rights"]), jwks=keys.key_set(key), identifiers=row["identifiers"],
        )  # fmt: skip
        found[row["id"]] = {"key": key, "scopes": row["scopes"]}
    database.close()
    return found


def load_directory(world: Path, callers: dict[str, Client]) -> None:
    """Organizations, their staff and services, sent as the manifest says."""
    for step in json.loads((world / "manifest.json").read_text())["steps"]:
        if step["file"].startswith("directory/"):
            callers[step["as"]].call("POST", "", (world / step["file"]).read_bytes())


def import_file(plan: Client, path: Path, mode: str = "delta", watch: Any = None) -> dict[str, Any]:
    """Send an assignment file and wait for its end: {"seconds", "summary"}; `watch()` is called while waiting."""
    media_type = "text/csv" if path.suffix == ".csv" else \
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"  # fmt: skip
    token, began = plan.token(), time.perf_counter()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": media_type}
    with path.open("rb") as body:
        kicked = plan.session.post(f"{plan.root}/fhir/Group/$import-assignments?mode={mode}", data=body,
                                   headers=headers, timeout=600)  # fmt: skip
    if kicked.status_code != requests.codes.accepted:
        raise RuntimeError(f"import: {kicked.status_code} {kicked.text[:500]}")
    renewed = time.monotonic()
    while True:
        answer = plan.session.get(kicked.headers["Content-Location"], headers=headers, timeout=60)
        if answer.status_code != requests.codes.accepted:
            break
        if watch:
            watch()
        if time.monotonic() - renewed > 200:  # noqa: PLR2004 - seconds; a token lives for 300
            headers["Authorization"], renewed = f"Bearer {plan.token()}", time.monotonic()
        time.sleep(0.05)
    seconds = time.perf_counter() - began
    if not answer.ok:
        raise RuntimeError(f"import: {answer.status_code} {answer.text[:500]}")
    return {"seconds": seconds, "summary": answer.json()["summary"]}
