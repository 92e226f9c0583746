"""Fixtures that many files want: a server over a database of its own, and clients of organizations on it.

A file or conftest gives them their names: `server = server_of_a_file()`, `clinic = organization("clinic")`.
"""

from collections.abc import Iterator
from typing import Any, Literal

import pytest

from tests.conftest import FreshUrl
from tests.live import Client, LiveServer, running


def server_of_a_file(**settings: Any) -> Any:
    """A server over a fresh database of each kind, shared by the tests of one file."""

    @pytest.fixture(scope="module")
    def server(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
        with running(module_database_url, tmp_path_factory.mktemp("server"), **settings) as live:
            yield live

    return server


def server_of_a_folder(**settings: Any) -> Any:
    """One for all files of a folder: none of their tests looks at what the others store."""

    @pytest.fixture(scope="package")
    def server(
        database_kind: str, fresh_url: FreshUrl, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[LiveServer]:
        with running(fresh_url(database_kind), tmp_path_factory.mktemp("server"), **settings) as live:
            yield live

    return server


def organization(name: str, *, scope: Literal["function", "module", "package"] = "module", **registered: Any) -> Any:
    """An organization that may do everything with what is its own, as the fixture `server` registers its client."""

    @pytest.fixture(scope=scope)
    def client(server: LiveServer) -> Client:
        return server.client(name, **registered)

    return client
