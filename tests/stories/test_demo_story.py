"""The story of `make demo` on both databases: what a visitor is shown is what is asserted, step by step."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from fhir_server.ecm.client import enlisting, world
from fhir_server.ecm.demo import ending, food_bank, strangers
from fhir_server.ecm.demo.outreach import CALIFORNIA
from fhir_server.ecm.demo.stage import FOOD_BANK, PROVIDER, STRANGER, NotAsTold, Stage
from fhir_server.ecm.demo.story import ACTS
from tests.conftest import FreshUrl
from tests.live import running


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.generate(tmp_path_factory.mktemp("world"), 20)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=[pytest.mark.long, pytest.mark.postgresql])])
def database_url(request: pytest.FixtureRequest, fresh_url: FreshUrl) -> str:
    """On SQLite in every run; the long run plays it on PostgreSQL as well."""
    return fresh_url(request.param)


@pytest.fixture
def stage(database_url: str, scene: Path, tmp_path: Path) -> Iterator[Stage]:
    with running(database_url, tmp_path) as live:
        enlisting.enlist(live.engine.database, scene, tmp_path, live.engine.clock())
        clients = enlisting.services(scene, tmp_path, live.base)
        today = datetime.now(CALIFORNIA).date()
        yield Stage(live.base, scene, clients, lambda _text: None, lambda _title, _rows: None, today)
        live.app.extensions["worker"].stop()


def test_the_story_is_as_told(stage: Stage) -> None:
    """Assignment in, care plan, both referral paths, return files, strangers, a second run (EC-09, SD-30 to SD-45)."""
    told: list[str] = []
    shown: dict[str, int] = {}
    stage = replace(stage, tell=told.append, show=lambda title, rows: shown.update({title: len(rows)}))
    for title, steps in ACTS:
        before = len(told) + len(shown)
        for step in steps:
            step(stage)
        assert len(told) + len(shown) > before, title
    assert list(shown.values()) == [2, 3, 2, 1]  # rows shown of the preview and of the three return files
    loops = ending.loops(stage)
    assert {(loop.status, loop.reason) for loop in loops} == {("loop-closed", "services-received")}
    assert [loop.task for loop in loops] == ["completed", "completed", "in-progress", "in-progress", "completed"]
    _notices_what_is_not_as_told(stage)


def _notices_what_is_not_as_told(stage: Stage) -> None:
    """A story that cannot fail shows nothing: a stranger with the provider's eyes, and a loop that is open."""
    clients = {**stage.clients, STRANGER: stage.clients[PROVIDER]}
    with pytest.raises(NotAsTold, match=f"{STRANGER} gets 404"):
        strangers.strangers_see_nothing(replace(stage, clients=clients))
    again = replace(stage, made={**stage.made, "first": stage.made["second"]})
    with pytest.raises(NotAsTold, match="the inbox shows"):
        food_bank.food_bank_opens_inbox(again)
    open_loop = {**stage.made, "pantry-task": stage.made["prepared-task"]}
    with pytest.raises(NotAsTold, match="every loop is closed"):
        ending.loops(replace(stage, made=open_loop))
    assert stage.clients[FOOD_BANK].get(stage.made["prepared-task"]).ok, "a declined referral stays readable"
