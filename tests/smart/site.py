"""A running authorization server on a loopback socket, and what its tests do with it."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import requests
from flask import Flask

from fhir_server.smart import clients, keys
from fhir_server.smart.server import Services, SmartSettings
from fhir_server.smart.views import smart_blueprint
from fhir_server.store.db import Database
from tests.live import PooledServer

BASE = "https://ecm.example.org/fhir"
TOKEN_URL = "https://ecm.example.org/auth/token"
START = 1_790_000_000_000


@dataclass
class Clock:
    """A clock that moves when told."""

    now: int = START

    def __call__(self) -> int:
        return self.now


@dataclass
class Site:
    """The server's address, its parts, and one client to ask with."""

    url: str
    database: Database
    clock: Clock
    events: list[Mapping[str, Any]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def register(self, key: keys.Jwk, client_id: str = "clinic", **changes: Any) -> clients.Client:
        """A registered client with this key."""
        values: dict[str, Any] = {
            "client_id": client_id,
            "name": "A clinic",
            "organization": "Organization/clinic",
            "law_class": "covered",
            "scopes": "system/*.rs system/CarePlan.cruds",
            "jwks": keys.key_set(key),
            "now_ms": self.clock(),
        }
        return clients.register(self.database, **{**values, **changes})

    def claims(self, client_id: str = "clinic", **changes: Any) -> dict[str, Any]:
        """The claims of a good assertion, with changes; a change to None leaves the claim out."""
        now = self.clock() // 1000
        jti = f"jti-{next(self.numbers)}"
        good = {"iss": client_id, "sub": client_id, "aud": TOKEN_URL, "iat": now, "exp": now + 240, "jti": jti}
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def assertion(self, key: keys.Jwk, client_id: str = "clinic", **changes: Any) -> str:
        """A signed assertion."""
        return keys.sign(key, self.claims(client_id, **changes))

    def post(self, path: str, form: Mapping[str, Any], **options: Any) -> requests.Response:
        """A form, posted."""
        return requests.post(self.url + path, data=form, timeout=10, **options)

    def ask(self, assertion: str, scope: str = "system/Patient.rs", **changes: str) -> requests.Response:
        """The token endpoint's answer to an assertion."""
        return self.post("/auth/token", {**keys.token_form(assertion, scope), **changes})

    def token(self, key: keys.Jwk, client_id: str = "clinic", scope: str = "system/Patient.rs") -> str:
        """A fresh access token."""
        answer = self.ask(self.assertion(key, client_id), scope)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


@contextmanager
def running(database: Database, settings: SmartSettings, **parts: Any) -> Iterator[Site]:
    """The server, listening until the block ends."""
    site = Site("", database, Clock())
    services = Services(database, BASE, site.clock, settings, site.events.append, **parts)
    app = Flask("smart")
    app.register_blueprint(smart_blueprint(services))
    server = PooledServer(app)
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.pool.shutdown()
        server.server_close()
