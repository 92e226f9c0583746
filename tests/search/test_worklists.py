"""Worklists: whose queue, in which status, by date (B-46), against a plain sort; and how much of a long one is read."""

import random
from contextlib import closing
from importlib import import_module
from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select

from fhir_server.search.queues import QUEUES
from fhir_server.store.db import open_database
from fhir_server.store.rows import Batch
from fhir_server.store.tables import comp, param
from tests.laws import examples
from tests.search import oracle
from tests.search.plans import NOW, PLAN, Most, add, searched, touched, view
from tests.search.stored import PARAMS, World, extractor, holding, planning

OWNERS = ["Organization/a", "Organization/b", "Practitioner/a"]
STATUSES = ["requested", "accepted", "completed"]
SYSTEM = "http://hl7.org/fhir/task-status"
DATES = ["2026-03-01", "2026-03-01T10:00:00Z", "2026-03", "2026-03-02", ""]
OTHER = 2  # who owns every second resource
LONG, ACCEPTED = 2500, 10
FEW = Most(200, 20_000)
SOME = Most(5000, 120_000)  # each list is counted up to the bound, to choose the shortest


def task(number: int, rng: random.Random) -> dict[str, Any]:
    made = {"resourceType": "Task", "id": f"t{number}", "status": rng.choice(STATUSES), "intent": "order"}
    if rng.random() < 0.9:
        made["owner"] = {"reference": rng.choice(OWNERS)}
    if date := rng.choice(DATES):
        made["authoredOn"] = date
    return made | {"identifier": [{"value": f"T{number}"}], "priority": rng.choice(["routine", "urgent"])}


RNG = random.Random(11)
STORED = [task(number, RNG) for number in range(150)]


@pytest.fixture(scope="module")
def world(module_database_url):
    with holding(module_database_url, STORED, 1, OTHER) as made:
        yield made


@pytest.fixture(params=[2000, 3], ids=["few", "many"])
def planned(world, request):
    """With a small bound every list counts as long."""
    with planning(world, request.param) as made:
        yield made


def expected(owners, statuses, more, *, sort, hidden):
    seen = STORED[::2] if hidden == OTHER else STORED
    found = [
        (oracle.span(one["authoredOn"])[0] if "authoredOn" in one else None, STORED.index(one), one["id"])
        for one in seen
        if one.get("owner", {}).get("reference") in owners and one["status"] in statuses and more.items() <= one.items()
    ]
    if not sort:
        return [one[2] for one in reversed(found)]
    descending = sort.startswith("-")
    dated = sorted([one for one in found if one[0] is not None], reverse=descending)
    dateless = sorted([one for one in found if one[0] is None], key=lambda one: one[1], reverse=descending)
    return [one[2] for one in dated + dateless]


@pytest.mark.law
@settings(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    owners=st.lists(st.sampled_from(OWNERS), min_size=1, max_size=3, unique=True),
    statuses=st.lists(st.sampled_from(STATUSES), min_size=1, max_size=3, unique=True),
    spelling=st.sampled_from(["{}", f"{SYSTEM}|{{}}"]),
    more=st.sampled_from([{}, {"priority": "urgent"}]),
    sort=st.sampled_from(["authored-on", "-authored-on", "authored-on", "-authored-on", ""]),
    hidden=st.sampled_from([-1, OTHER]),
    size=st.sampled_from(["2", "7", "200"]),
)
def test_every_page_of_a_worklist(planned, owners, statuses, spelling, more, sort, hidden, size):
    """B-45, B-46: forwards and back, for whoever sees half of it as well; what has no date comes last."""
    pairs = [("owner", ",".join(owners)), ("status", ",".join(map(spelling.format, statuses))), *more.items()]
    pairs += [("_count", size), ("_total", "accurate"), *([("_sort", sort)] if sort else [])]
    pages = planned.pages("Task", pairs, hidden)
    wanted = expected(owners, statuses, more, sort=sort, hidden=hidden)
    assert [hit.fid for page in pages for hit in page.hits] == wanted
    assert {page.total for page in pages} == {len(wanted)}
    assert [page.hits for page in planned.back(pages[-1], hidden)] == [page.hits for page in pages[-2::-1]]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (
            "owner=a&status=requested,accepted&_sort=authored-on",
            "owner={all}&status=requested,accepted&_sort=authored-on",
        ),
        ("owner=Organization/a&status=requested&_sort=-_lastUpdated", None),
        ("owner=Organization/a&status=requested", None),
        ("owner=Organization/a&status=requested&priority=urgent", None),
        ("owner=Organization/a&status:not=requested&_sort=-authored-on", None),
        ("owner=Organization/a&status=requested&identifier=T7&_sort=-authored-on", None),
        ("owner=Organization/a&owner=Organization/b&status=requested&_sort=-authored-on", None),
        (f"owner=Organization/a&status={SYSTEM}|requested,requested&_sort=-authored-on", None),
        (f"owner=Organization/a&status={SYSTEM}|&_sort=-authored-on", None),
        ("owner:missing=true&status=requested&_sort=-authored-on", None),
    ],
)
def test_what_is_like_a_worklist(world, monkeypatch, text, same):
    """B-46: the same answer as without the list."""
    if same:
        assert world.ids("Task", text) == world.ids("Task", same.format(all=",".join(OWNERS[::2])))
        return
    found = world.ids("Task", text)
    monkeypatch.setattr("fhir_server.search.worklists.QUEUES", {})
    assert world.ids("Task", text) == found


@pytest.fixture(scope="module")
def long_queue(fresh_url, database_kind):
    """One organization's long queue, where all have the same date; few of it, many of another's, are accepted."""
    with closing(open_database(fresh_url(database_kind))) as database:
        batch, extract = Batch(), extractor()
        for number in range(2 * LONG):
            status = "requested" if ACCEPTED <= number < LONG else "accepted"
            made = {"resourceType": "Task", "id": f"t{number}", "status": status, "intent": "order"}
            owner = {"reference": f"Organization/{'a' if number < LONG else 'b'}"}
            made |= {"owner": owner, "authoredOn": "2026-11-02"}
            add(batch, extract, 1000 + 2 * number, made, "Patient/p")
        database.write(batch.flush)
        if database.dialect == "postgresql":
            database.read().exec_driver_sql("ANALYZE")
        yield World(database, extractor=extract)


@pytest.mark.parametrize("sort", ["-authored-on", "authored-on"])
def test_a_page_of_a_long_worklist_reads_a_page(long_queue, sort):
    """Issue of speed: the first page, and the one after it, touch some rows for each one shown, however long it is."""
    text = f"owner=Organization/a&status=requested&_sort={sort}&_count=20"
    first = searched(long_queue, PLAN, "Task", text)
    assert len(first.hits) == 20
    touched(long_queue, lambda: searched(long_queue, PLAN, "Task", text), FEW)
    query = long_queue.searcher.resume(first.next_token, "x", NOW)

    def onward():
        return long_queue.searcher.search(long_queue.database.read(), query, view(PLAN), identity="x", now_ms=NOW)

    touched(long_queue, onward, FEW)
    assert not {hit.fid for hit in onward().hits} & {hit.fid for hit in first.hits}


@pytest.mark.parametrize("sort", ["", "&_sort=-_lastUpdated", "&_sort=code"])
def test_a_short_queue_of_a_busy_organization(long_queue, sort):
    """Issue of speed: neither all that the organization has nor all in that status is looked at, whatever the order."""
    text = f"owner=Organization/a&status=accepted&_count=20{sort}"
    assert len(searched(long_queue, PLAN, "Task", text).hits) == ACCEPTED
    touched(long_queue, lambda: searched(long_queue, PLAN, "Task", text), SOME)


def test_what_an_older_release_stored_is_found(fresh_url, database_kind):
    """The migration adds the rows that writing a Task adds now."""
    wanted = [("Task", code) for code in ("owner", "status", "authored-on")]
    queue = comp.c.param == PARAMS["Task", QUEUES["Task"].code]
    columns = [column for column in comp.c if column.name != "param"]
    module = import_module("fhir_server.store.migrations.versions.0016_worklists")
    with closing(open_database(fresh_url(database_kind))) as database:
        World(database).store(STORED[:40])

        def work(connection):
            rows = connection.execute(select(*columns).where(queue)).fetchall()
            connection.execute(delete(comp).where(queue))
            connection.execute(insert(param), [{"id": PARAMS[one], "type": one[0], "code": one[1]} for one in wanted])
            with Operations.context(MigrationContext.configure(connection)):
                module.upgrade()
            number = select(param.c.id).where(param.c.code == QUEUES["Task"].code).scalar_subquery()
            assert sorted(connection.execute(select(*columns).where(comp.c.param == number)).fetchall()) == sorted(rows)
            return len(rows)

        assert database.write(work) > 20
