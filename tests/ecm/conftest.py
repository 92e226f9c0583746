"""The small world of `scene`, once per file of tests and database."""

from collections.abc import Iterator

import pytest

from tests.ecm.scene import Scene, scene


@pytest.fixture(scope="module")
def world(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The world, shared by the tests of one file: each test uses members of its own."""
    with scene(module_database_url, tmp_path_factory.mktemp("world")) as found:
        yield found
