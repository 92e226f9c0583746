"""A plan, its provider, a community organization and a stranger, each with a client of its own on a live server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from fhir_server.smart import clients
from tests import hermit
from tests.conftest import FreshUrl
from tests.live import Client, LiveServer, running


@dataclass
class Exchange:
    """The server and one client for each organization."""

    server: LiveServer
    plan: Client
    clinic: Client
    pantry: Client
    stranger: Client

    def join(self, name: str, law_class: str = "covered", **more: Any) -> Client:
        """One more organization with its client and its entry in the directory."""
        return joined(self.server, name, law_class, **more)

    def verify(self, client: Client, *identifiers: str, rights: str = "") -> None:
        """What the operator does for an organization: note its verified numbers, and further rights."""
        engine = self.server.engine
        clients.extend(engine.database, client.id, engine.clock(), rights, identifiers)

    def rows(self, query: str) -> list[Any]:
        """What a statement finds in the database."""
        return list(self.server.engine.database.read().execute(text(query)))


def joined(server: LiveServer, name: str, law_class: str = "covered", **more: Any) -> Client:
    rights = "update-create assign" if name == "plan" else "update-create"
    client = server.client(name, law_class=law_class, rights=rights, **more)
    put = client.put(f"Organization/{name}", {"resourceType": "Organization", "id": name, "name": name})
    assert put.status_code == 201, put.text
    hermit.keep_secret(server.engine, f"Organization/{name}")
    return client


@contextmanager
def opened(url: str, folder: Path) -> Iterator[Exchange]:
    with running(url, folder, hold_drop_percent=100) as server:
        classes = {"plan": "covered", "clinic": "covered", "pantry": "non-hipaa", "stranger": "covered"}
        yield Exchange(server, *[joined(server, name, law) for name, law in classes.items()])
        server.app.extensions["worker"].stop()


@pytest.fixture
def fresh_exchange(database_url: str, tmp_path: Path) -> Iterator[Exchange]:
    """An exchange for one test that changes directory or rights, on each database."""
    with opened(database_url, tmp_path / "server") as found:
        yield found


@pytest.fixture(scope="session")
def exchange(database_kind: str, fresh_url: FreshUrl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One exchange for all tests that bring members of their own and leave directory and rights as they are."""
    with opened(fresh_url(database_kind), tmp_path_factory.mktemp("exchange")) as found:
        yield found
