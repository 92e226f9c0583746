"""A running server for the tests of one file, once on each database, with two organizations' clients."""

from collections.abc import Iterator

import pytest

from tests.live import Client, LiveServer, running


@pytest.fixture(scope="module")
def server(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server over a fresh database, shared by the tests of one file."""
    with running(module_database_url, tmp_path_factory.mktemp("server")) as live:
        yield live


@pytest.fixture(scope="module")
def clinic(server: LiveServer) -> Client:
    """An organization that may do everything with what is its own, and assign members."""
    return server.client("clinic", rights="assign")


@pytest.fixture(scope="module")
def stranger(server: LiveServer) -> Client:
    """Another organization without any relation to the first one's patients."""
    return server.client("stranger")


@pytest.fixture(scope="module")
def loader(server: LiveServer) -> Client:
    """A client with the right to choose ids (update-create)."""
    return server.client("loader", rights="update-create")


@pytest.fixture(scope="module")
def registrar(server: LiveServer) -> Client:
    """The operator of the exchange, who enters organizations in its directory."""
    return server.client("registrar", law_class="operator", rights="update-create")
