"""A Bundle of type transaction is there as a whole or not at all, whatever is in it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from fhir_server.engine import audit
from fhir_server.engine.context import Transaction
from fhir_server.engine.transaction import run
from fhir_server.fhir.errors import BusinessRule, Conflict
from fhir_server.store.db import RunAgain
from fhir_server.store.tables import audit as trail
from fhir_server.store.tables import dat, hist, keys, outbox, ref, rel, res, string, tok
from tests.live import LiveServer, running

TABLES = (res, hist, tok, string, dat, ref, keys, rel, outbox, trail)
ACTIVE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}
NOWHERE = "Patient/019f0000-0000-7abc-8000-000000000000"


class World:
    """A server, a client of it, and Patients that were there before."""

    def __init__(self, server: LiveServer) -> None:
        self.server, self.plan = server, server.client("plan")
        answers = [self.plan.post("Patient", patient(f"before-{number}")) for number in range(3)]
        self.stored = [answer.json()["id"] for answer in answers]


@pytest.fixture(scope="module")
def world(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(module_database_url, tmp_path_factory.mktemp("server")) as live:
        yield World(live)


def patient(number: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:cin", "value": number}],
        "name": [{"family": "Kim"}],
    }


def condition(subject: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Condition", "clinicalStatus": ACTIVE, "subject": {"reference": subject}, **more}


def post(resource: dict[str, Any], full_url: str = "", **more: Any) -> dict[str, Any]:
    named = {"fullUrl": full_url} if full_url else {}
    return {**named, "resource": resource, "request": {"method": "POST", "url": resource["resourceType"], **more}}


def counts(server: LiveServer) -> dict[str, int]:
    """Rows per table; of the trail what changes left: what is read or refused comes to it when a log is drained."""
    read = server.engine.database.read()
    of = {trail.name: (trail.c.outcome < 300, trail.c.interaction.in_(["create", "update", "delete", "transaction"]))}
    counted = {table.name: select(func.count()).select_from(table).where(*of.get(table.name, ())) for table in TABLES}
    return {name: read.execute(query).scalar_one() for name, query in counted.items()}


numbers = st.integers(0, 10**9)
good = st.sampled_from(["patient", "condition", "update", "delete", "known"])
bad = st.sampled_from(["taken", "stale", "nowhere", "structure", "link"])


def entry(kind: str, number: int, place: int, stored: list[str]) -> dict[str, Any]:
    """One entry; the first of a Bundle is always the patient that others refer to."""
    link = "urn:uuid:0a5f0000-0000-4000-8000-000000000000"
    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "patient": lambda: post(patient(f"new-{number}-{place}")),
        "condition": lambda: post(condition(link), f"urn:uuid:0a5f0000-0000-4000-8000-{place:012d}"),
        "known": lambda: post(condition(f"Patient/{stored[0]}")),
        "update": lambda: put(stored[0], {**patient("before-0"), "active": number % 2 == 0}),
        "delete": lambda: {"request": {"method": "DELETE", "url": "Condition/019f0000-0000-7abc-8000-00000000000a"}},
        "taken": lambda: post(patient("before-1")),
        "stale": lambda: put(stored[2], patient("before-2"), ifMatch='W/"77"'),
        "nowhere": lambda: post(condition(NOWHERE)),
        "structure": lambda: post({**condition(link), "unheardOf": 1}),
        "link": lambda: post(condition("urn:uuid:0a5f0000-0000-4000-8000-00000000dead")),
    }
    return makers[kind]()


def put(fid: str, resource: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"resource": {**resource, "id": fid}, "request": {"method": "PUT", "url": f"Patient/{fid}", **more}}


def bundle(kinds: list[str], number: int, stored: list[str]) -> dict[str, Any]:
    first = post(patient(f"first-{number}"), "urn:uuid:0a5f0000-0000-4000-8000-000000000000")
    rest = [entry(kind, number, place, stored) for place, kind in enumerate(kinds, start=1)]
    return {"resourceType": "Bundle", "type": "transaction", "entry": [first, *rest]}


def distinct(kinds: list[str]) -> list[str]:
    """One resource may stand in a Bundle once."""
    once = {"update", "taken", "stale", "delete"}
    return [kind for place, kind in enumerate(kinds) if kind not in once or kind not in kinds[:place]]


relaxed = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@relaxed
@given(st.lists(good.filter(lambda kind: kind != "delete"), max_size=6), numbers)
def test_every_2xx_can_be_read_back_whole(world: World, kinds: list[str], number: int) -> None:
    """P2, F14: 200 means committed, entry by entry."""
    plan, server = world.plan, world.server
    whole = bundle(distinct(kinds), number, world.stored)
    before = counts(server)
    answer = plan.post("", whole)
    if answer.status_code == 409:  # the same numbers were drawn before
        assert counts(server) == before
        return
    assert answer.status_code == 200, answer.text
    answers = [one["response"] for one in answer.json()["entry"]]
    assert len(answers) == len(whole["entry"])
    assert {one["status"][:3] for one in answers} <= {"200", "201"}
    places = [one["location"] for one in answers if "location" in one]
    assert len(places) >= len([one for one in whole["entry"] if one["request"]["method"] == "POST"])
    for place in places:
        assert plan.get(place).status_code == 200
    first = places[0].split("/_history")[0].removeprefix(server.base + "/")
    linked = [
        one for one in whole["entry"] if one["resource"].get("subject", {}).get("reference", "").startswith("urn:")
    ]
    found = plan.get(f"Condition?patient={first}&_summary=count").json()["total"]
    assert found == len(linked)


@relaxed
@given(st.lists(good, max_size=5), bad, st.integers(0, 5), numbers)
def test_one_bad_entry_leaves_nothing_of_the_others(
    world: World, kinds: list[str], wrong: str, place: int, number: int
) -> None:
    """Row 95: the entry's own status, the entry named, and not one row more in any table."""
    kinds = distinct(kinds)
    kinds.insert(min(place, len(kinds)), wrong)
    before = counts(world.server)
    answer = world.plan.post("", bundle(kinds, number, world.stored))
    assert answer.status_code in {400, 404, 409, 412, 422}, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert counts(world.server) == before


def test_the_trail_is_sound_after_all_this(world: World) -> None:
    engine = world.server.engine
    assert audit.verify(engine.database, engine.secret)[1] is None


# ---- one function, run again from zero


PATIENT = {"resourceType": "Patient", "name": [{"family": "Rivera"}]}


def test_work_that_is_run_again_starts_from_nothing(engine: Any, org: Callable[..., Any]) -> None:
    """P2: no row, event or change of the first run stays in the second."""
    told: list[int] = []
    engine.hooks.after_commit.append(lambda _context, changes: told.append(len(changes)))
    hands, runs = org(), []

    def work(transaction: Transaction) -> int:
        from fhir_server.engine import repository, writing  # noqa: PLC0415 - beside their use

        runs.append(transaction)
        new = writing.draft(transaction.context, "Patient", json.dumps(PATIENT).encode())
        repository.create(transaction.context, new)
        transaction.flush()
        if len(runs) < 3:
            raise RunAgain
        return len(transaction.changes)

    assert run(hands.context(), work) == 1
    assert told == [1]
    read = engine.database.read()
    assert read.execute(select(func.count()).select_from(res)).scalar() == 1
    assert read.execute(select(func.count()).select_from(trail)).scalar() == 1
    assert audit.verify(engine.database, engine.secret) == (1, None)


def test_nobody_is_told_of_what_was_not_stored(engine: Any, org: Callable[..., Any]) -> None:
    told: list[int] = []
    engine.hooks.after_commit.append(lambda _context, changes: told.append(len(changes)))

    def work(_transaction: Transaction) -> None:
        raise BusinessRule("no")

    with pytest.raises(BusinessRule):
        run(org().context(), work)
    assert told == []


def test_a_listener_s_failure_does_not_undo_the_write(engine: Any, org: Callable[..., Any]) -> None:
    def fail(_context: Any, _changes: Any) -> None:
        message = "listener"
        raise RuntimeError(message)

    engine.hooks.after_commit.append(fail)
    made = org().create(PATIENT)
    assert org().sees(made)


def test_a_gate_s_refusal_undoes_everything(engine: Any, org: Callable[..., Any]) -> None:
    """What a guest refuses in the transaction takes the resource, its index and its event with it."""

    def refuse(_transaction: Any, _change: Any) -> None:
        raise Conflict("no")

    engine.hooks.in_transaction.append(refuse)
    with pytest.raises(Conflict):
        org().create(PATIENT)
    read = engine.database.read()
    for table in (res, string, outbox, trail):
        assert read.execute(select(func.count()).select_from(table)).scalar() == 0


def test_injected_conflicts_never_show_a_phantom(engine: Any, org: Callable[..., Any], tmp_path: Path) -> None:
    """P2, F14: a commit that fails is never told as success; each acknowledged write can be read."""
    del tmp_path
    hands, made = org(), []
    original = engine.database.write
    turns = iter(range(10_000))

    def unlucky(work: Callable[[Any], Any]) -> Any:
        turn, runs = next(turns), []

        def sometimes(connection: Any) -> Any:
            value = work(connection)
            runs.append(1)
            if turn % 3 == 0 and len(runs) < 2:
                raise RunAgain
            if turn % 5 == 0:
                raise Conflict("injected")
            return value

        return original(sometimes)

    engine.database.write = unlucky
    refused = 0
    for _ in range(60):
        try:
            made.append(hands.create(PATIENT))
        except Conflict:
            refused += 1
    engine.database.write = original
    assert refused >= 10
    assert all(hands.sees(one) for one in made)
    assert engine.database.read().execute(select(func.count()).select_from(res)).scalar() == len(made)
    assert audit.verify(engine.database, engine.secret)[1] is None
