"""A running server for the search tests that speak HTTP, once on each database."""

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
    """An organization that may do everything with what is its own."""
    return server.client("clinic")


@pytest.fixture(scope="module")
def stranger(server: LiveServer) -> Client:
    """Another organization without any relation to the first one's patients."""
    return server.client("stranger")
