"""A running authorization server with one registered client, and keys of both kinds."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from fhir_server.smart import keys
from fhir_server.smart.server import SmartSettings
from fhir_server.store.db import open_database
from tests.smart.site import Site, running


@pytest.fixture(scope="session")
def ec_key() -> dict[str, Any]:
    return keys.generate("ES384", "ec-1")


@pytest.fixture(scope="session")
def rsa_key() -> dict[str, Any]:
    return keys.generate("RS384", "rsa-1")


@pytest.fixture
def site(database, ec_key) -> Iterator[Site]:
    """A server without throttle, and the client `clinic`."""
    with running(database, SmartSettings(throttle="")) as site:
        site.register(ec_key)
        yield site


@pytest.fixture(scope="module")
def shared_site(module_database_url, ec_key) -> Iterator[Site]:
    """The same for the cases of one file that change nothing but used assertions and tokens."""
    settings = SmartSettings(throttle="")
    with closing(open_database(module_database_url)) as database, running(database, settings) as site:
        site.register(ec_key)
        yield site
