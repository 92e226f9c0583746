"""A provider with a member and a food pantry, for clients that others wrote."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.ecm.scene import Scene, row, scene


@dataclass(frozen=True)
class Day:
    """Where the server is, the tokens of who works there, and the CIN of the members to work with."""

    base: str
    provider: str
    pantry: str
    world: Scene
    cins: list[str]


@pytest.fixture(scope="module")
def day(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """Three members are assigned to the provider; nothing else has happened."""
    with scene(module_database_url, tmp_path_factory.mktemp("day")) as world:
        rows = [row(number) for number in (701, 702, 703)]
        world.take_in(world.plan, rows)
        tokens = [world.clients[name].authorize() for name in ("clinic", "pantry")]
        yield Day(world.server.base, *tokens, world, [one["CIN"] for one in rows])
