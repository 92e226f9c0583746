"""The small world of `scene`, once per file of tests and database."""

from collections.abc import Iterator

import pytest

from tests.conftest import FreshUrl
from tests.ecm.scene import Scene, scene


@pytest.fixture(scope="module")
def world(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The world, shared by the tests of one file: each test uses members of its own."""
    with scene(module_database_url, tmp_path_factory.mktemp("world")) as found:
        yield found


@pytest.fixture(scope="session")
def common_world(database_kind: str, fresh_url: FreshUrl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One world for several files, whose members have different numbers, and which leave no services behind."""
    with scene(fresh_url(database_kind), tmp_path_factory.mktemp("common")) as found:
        yield found
