"""What taking in a file costs at the database: as many statements for many rows of a chunk as for few."""

from collections import Counter

import pytest

from tests.ecm.scene import Scene, as_csv, row
from tests.live import LiveServer
from tests.rest.test_statements import Sent, sent  # noqa: F401 - a fixture

# Of the whole job, which is one chunk here; among them one look for newborns without a CIN, and what run-outs need.
MOST = {"sqlite": 61, "postgresql": 44}
FEW, MANY = range(20, 23), range(30, 44)  # as many as PostgreSQL takes without COPY


@pytest.fixture(scope="module")
def server(world: Scene) -> LiveServer:
    return world.server


def statements(world: Scene, sent: Sent, numbers: range) -> list[str]:  # noqa: F811
    """The kinds of statements of a job that takes in new members, but for the upkeep of jobs and files."""
    answer = world.kick_off(world.plan, as_csv([row(number) for number in numbers]), mode="delta")
    assert answer.status_code == 202, answer.text
    return [kind for kind in sent.of(world.work) if not kind.endswith((" job", " file"))]


def test_statements_of_a_chunk(world: Scene, sent: Sent) -> None:  # noqa: F811
    """Rows are looked up and written together: no statement is sent for one row alone."""
    statements(world, sent, range(10, 12))  # makes the roster
    few = statements(world, sent, FEW)
    many = statements(world, sent, MANY)
    assert Counter(many) == Counter(few), sent.texts
    assert len(many) <= MOST[world.server.engine.database.dialect], Counter(many)
