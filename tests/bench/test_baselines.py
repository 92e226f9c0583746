"""The baselines of writes: rows of real writes are captured whole, renewed without a clash, and written again."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bench import bare, rows
from fhir_server.engine.build import clock
from fhir_server.store import tables
from fhir_server.store.ids import Ids
from fhir_server.store.rows import Batch
from tests.live import LiveServer, running
from tests.security.conftest import joined
from tests.security.world import care_team, condition, listed, organization, patient, request, task

BASES = {"res", "tok", "string", "ref", "dat", "outbox", "audit", "rel", "access", "share"} - {"string"}


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[LiveServer]:
    with running(database_url, tmp_path) as live:
        yield live


@pytest.fixture
def captured(server: LiveServer) -> rows.Rows:
    """The rows that a member with a team, a finding and a referral left."""
    laws = {"plan": "covered", "clinic": "covered", "pantry": "non-hipaa"}
    plan, clinic, pantry = (joined(server, name, law) for name, law in laws.items())
    connection = server.engine.database.read()
    before, at = rows.newest(connection), clock() * 1000
    person = patient(plan)
    care_team(plan, person, clinic)
    finding = condition(plan, person)
    task(plan, person, request(plan, person), owner=organization(pantry), input=listed(finding))
    return rows.written_after(connection, before, at)


def count(server: LiveServer) -> dict[str, int]:
    connection = server.engine.database.read()
    return {table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
            for table in (tables.res, tables.tok, tables.ref, tables.share, tables.access)}  # fmt: skip


def test_everything_that_a_write_leaves_is_captured(captured: rows.Rows) -> None:
    """Resource, contact view, index, relations, access, shares, outbox and audit: or the baseline would do less."""
    assert {table.name for table in captured} >= BASES
    assert len(captured[tables.res]) == 6
    giver = tables.share.c.keys().index("giver")
    assert {row[giver] for row in captured[tables.share]} > {0}


def test_renewed_rows_clash_with_nothing(server: LiveServer, captured: rows.Rows) -> None:
    """The same rows twice more beside the first: new identities, and what belonged together still does."""
    renewal = rows.Renewal(captured, Ids(clock, rows.NODE), random.Random(1))
    before = count(server)
    rids = set()
    for turn in (1, 2):
        fresh = renewal.next()
        assert {table: len(each) for table, each in fresh.items()} == {t: len(each) for t, each in captured.items()}
        rids |= {row[2] for row in fresh[tables.res]}
        names = tables.res.c.keys()
        owners = {row[names.index("owner")] for row in fresh[tables.res]}
        givers = {row[tables.share.c.keys().index("giver")] for row in fresh[tables.share]} - {0}
        assert givers <= owners
        batch = Batch()
        for table, each in fresh.items():
            batch.extend(table, each)
        server.engine.database.write(batch.flush)
        assert count(server) == {
            table.name: before[table.name] + turn * len(captured[table])
            for table in (tables.res, tables.tok, tables.ref, tables.share, tables.access)
        }
    assert len(rids) == 12
    assert server.engine.database.read().execute(
        select(func.count()).select_from(tables.res).where(tables.res.c.rid.in_(rids))
    ).scalar_one() == 12  # fmt: skip


@pytest.mark.parametrize("extracting", [False, True])
def test_the_baseline_writes_what_it_is_given(server: LiveServer, captured: rows.Rows, *, extracting: bool) -> None:
    """As many transactions as asked for, whether posting lists are taken over or made by the extractor."""
    before = count(server)
    extract = dict(server.engine.params) if extracting else {}
    named = {table.name: each for table, each in captured.items()}
    url = server.engine.settings.url
    done = bare.run(bare.Bare(url, [named], threads=2, seconds=20.0, times=3, seed=5, extract=extract))
    assert done["count"] == 3
    assert done["rate"] > 0
    after = count(server)
    assert after["res"] == before["res"] + 3 * len(captured[tables.res])
    assert after["tok"] == before["tok"] + 3 * len(captured[tables.tok])


def test_rows_are_split_by_patient(captured: rows.Rows) -> None:
    """Nothing is lost and nothing twice, however many groups there are."""
    parts = list(rows.split(captured, 1))
    for table, each in captured.items():
        assert sorted(map(repr, (row for part in parts for row in part.get(table, [])))) == sorted(map(repr, each))
