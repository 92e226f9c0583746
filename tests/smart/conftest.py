"""A running authorization server with one registered client, and keys of both kinds."""

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.smart import keys
from fhir_server.smart.server import SmartSettings
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
