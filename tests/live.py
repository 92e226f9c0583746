"""A real server on a loopback socket for tests: start it, register clients, speak to it over HTTP."""

import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler

from fhir_server.app import create_app
from fhir_server.config import Settings
from fhir_server.engine.context import Engine
from fhir_server.smart import clients, keys
from tests import hermit

JSON = "application/fhir+json"


@dataclass
class Client:
    """One registered client with its key: get, post, put, patch, delete below the FHIR base, with a fresh token."""

    server: "LiveServer"
    id: str
    key: Mapping[str, Any]
    scopes: str
    session: requests.Session = field(default_factory=requests.Session)
    token: str = ""
    expires: float = 0.0

    def authorize(self, scopes: str = "") -> str:
        """A new access token from the token endpoint."""
        url = self.server.root + "/auth/token"
        assertion = keys.sign_assertion(self.key, self.id, url, int(time.time() * 1000), jti=secrets.token_hex(8))
        answer = self.session.post(url, data=keys.token_form(assertion, scopes or self.scopes))
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def authorize_once(self) -> str:
        """The access token in use; a new one when it gets old."""
        if time.time() > self.expires:
            self.token, self.expires = self.authorize(), time.time() + 240
        return self.token

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """One request; `body` is JSON, bytes go as they are."""
        headers = {"Authorization": f"Bearer {self.authorize_once()}", **options.pop("headers", {})}
        if isinstance(body, (bytes, str)):
            options["data"] = body
        elif body is not None:
            options["json"] = body
        if body is not None:
            headers.setdefault("Content-Type", JSON)
        url = path if path.startswith("http") else f"{self.server.base}/{path}".rstrip("/")
        return self.session.request(method, url, headers=headers, timeout=60, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET below the FHIR base."""
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any, **options: Any) -> requests.Response:
        """POST below the FHIR base."""
        return self.request("POST", path, body, **options)

    def put(self, path: str, body: Any, **options: Any) -> requests.Response:
        """PUT below the FHIR base."""
        return self.request("PUT", path, body, **options)

    def patch(self, path: str, body: Any, **options: Any) -> requests.Response:
        """PATCH with JSON Patch below the FHIR base."""
        headers = {"Content-Type": "application/json-patch+json", **options.pop("headers", {})}
        return self.request("PATCH", path, body, headers=headers, **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        """DELETE below the FHIR base."""
        return self.request("DELETE", path, **options)


@dataclass
class LiveServer:
    """The running server and its engine."""

    root: str
    engine: Engine
    app: Any

    @property
    def base(self) -> str:
        """The FHIR base URL."""
        return self.root + "/fhir"

    def client(
        self,
        name: str,
        organization: str = "",
        law_class: str = "covered",
        scopes: str = "system/*.cruds",
        purposes: str = "TREAT",
        rights: str = "",
        identifiers: Sequence[str] = (),
    ) -> Client:
        """Register a client of an organization (default: one of its own name) and return it ready to use."""
        key = keys.generate("ES384")
        clients.register(
            self.engine.database, client_id=name, name=name, organization=organization or f"Organization/{name}",
            law_class=law_class, scopes=scopes, now_ms=self.engine.clock(), purposes=purposes, rights=rights,
            jwks=keys.key_set(key), identifiers=identifiers,
        )  # fmt: skip
        return Client(self, name, key, scopes)


class Quiet(WSGIRequestHandler):
    """Answers without a log line for every request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


class PooledServer(BaseWSGIServer):
    """A server with a fixed number of threads, as in production: the database keeps connections for each of them."""

    request_queue_size = 256

    def __init__(self, app: Any, threads: int = 16) -> None:
        super().__init__("127.0.0.1", 0, app, handler=Quiet)
        self.pool = ThreadPoolExecutor(threads)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in one of the pool's threads."""
        self.pool.submit(self._answer, request, client_address)

    def _answer(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except ConnectionError:
            pass  # the client has gone
        finally:
            self.shutdown_request(request)


@contextmanager
def running(url: str, folder: Path, threads: int = 16, **settings: Any) -> Iterator[LiveServer]:
    """A server over a migrated database, on a free port, until the block ends."""
    listener = PooledServer(_not_yet, threads)
    root = f"http://127.0.0.1:{listener.server_port}"
    chosen = Settings(data_folder=str(folder), database_url=url, base_url=root + "/fhir", **settings)
    app = create_app(chosen)
    engine: Engine = app.extensions["engine"]
    hermit.move_in(engine)
    listener.app = watch = hermit.Watch(app, engine)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield LiveServer(root, engine, app)
    finally:
        listener.shutdown()
        thread.join()
        listener.pool.shutdown()
        listener.server_close()
        if "worker" in app.extensions:
            app.extensions["worker"].stop()
        engine.close()
    assert watch.found == [], "what nobody may see was in these responses"


def _not_yet(_environ: Any, _start: Any) -> Any:
    message = "the application is being built"
    raise RuntimeError(message)
