"""Contact views come into being with the first share of one, as if they had been there all along, and follow."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.dialects import sqlite

from fhir_server.access.predicate import Visible
from fhir_server.engine import behalf, contact_rows, purging, reindexing, repository, writing
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Engine, Transaction
from fhir_server.engine.index_rows import LISTS
from fhir_server.engine.transaction import run
from fhir_server.engine.walking import Place
from fhir_server.store.db import Database
from fhir_server.store.tables import hist, outbox, res
from fhir_server.store.tables.full_text import words
from tests.engine.conftest import Org, caller
from tests.engine.test_access_rows import care_team, known, referral, task  # noqa: F401 - a fixture

PATIENT = {
    "resourceType": "Patient",
    "identifier": [{"system": "urn:cin", "value": "90000000A"}],
    "name": [{"family": "Rivera", "given": ["Ana"]}],
    "gender": "female",
    "birthDate": "1980-02-03",
}
RENAMED = {**PATIENT, "name": [{"family": "Vang"}], "telecom": [{"system": "phone", "value": "5550100"}]}


def rows(engine: Engine, table: Any, rid: int) -> list[Any]:
    return list(engine.database.read().execute(select(table).where(table.c.rid == rid)))


def contact_of(engine: Engine, made: Change) -> Any:
    """The row of the contact view, None without one."""
    return next(iter(rows(engine, res, made.row.rid + 1)), None)


def views(engine: Engine, made: Change) -> list[tuple[int, int, bool]]:
    found = engine.database.read().execute(select(res).where(res.c.rh == made.row.rh)).all()
    assert len({row.ts for row in found}) == 1
    return sorted((row.view, row.ver, bool(row.deleted)) for row in found)


def posted(engine: Engine, rid: int) -> dict[str, list[Any]]:
    """What a row is found by: all lists, and the words."""
    reading = engine.database.read()
    found = {t.name: sorted(tuple(row)[2:] for row in rows(engine, t, rid)) for t in LISTS}
    text = reading.execute(select(words).where(words.c.rowid == rid)).all()
    return {**found, "words": [] if not text else [rid]}


def asked(engine: Engine, rid: int, view: dict[str, Any]) -> dict[str, list[Any]]:
    """What a body asks to be found by."""
    made = engine.extractor.rows("Patient", view)
    lists = {t.name: sorted((one[0], rid, *one[1:]) for one in made[at]) for at, t in enumerate(LISTS)}
    return {**lists, "words": [rid] if made.words else []}


def refer(who: Org, patient: Change, to: str = "pantry") -> Change:
    return who.create(referral(who, patient, to=to)[1])


# ---- when there is one


def test_a_patient_of_no_referral_has_none(engine: Engine, known: Callable[..., Any]) -> None:  # noqa: F811
    """Neither its create nor any later version, nor a Task that is shown to nobody yet."""
    plan = known("plan")
    made = plan.create(PATIENT)
    made = plan.update(made, RENAMED)
    request, asked_for = referral(plan, made, status="draft")
    draft = plan.create(asked_for)
    plan.delete(made)
    made = plan.update(made, PATIENT)
    assert views(engine, made) == [(0, 4, False)]
    assert rows(engine, hist, made.row.rid + 1) == []
    plan.update(draft, task(made, request, "requested", "pantry"))
    assert views(engine, made) == [(0, 4, False), (1, 4, False)]


def test_the_contact_view_follows_the_patient(engine: Engine, known: Callable[..., Any]) -> None:  # noqa: F811
    """Made with its first share, updated, deleted and revived with the Patient, with the same version and instant."""
    plan, pantry = known("plan"), known("pantry")
    made = plan.update(plan.create(PATIENT), {**PATIENT, "active": True})
    refer(plan, made)
    assert views(engine, made) == [(0, 2, False), (1, 2, False)]
    body = json.loads(bytes(contact_of(engine, made).body))
    assert body["meta"]["versionId"] == "2"
    assert not {"identifier", "gender"} & body.keys()
    assert posted(engine, made.row.rid + 1) == asked(engine, made.row.rid + 1, body)
    values = {row.val for row in rows(engine, LISTS[0], made.row.rid + 1)}
    assert not {"90000000A", "female"} & values
    made = plan.update(made, RENAMED)
    assert views(engine, made) == [(0, 3, False), (1, 3, False)]
    assert json.loads(bytes(pantry.read(made).body))["name"] == [{"family": "Vang"}]
    assert {row.norm for row in rows(engine, LISTS[1], made.row.rid + 1)} == {"vang"}
    plan.delete(made)
    assert views(engine, made) == [(0, 4, True), (1, 4, True)]
    assert not any(posted(engine, made.row.rid + 1).values())
    made = plan.update(made, PATIENT)
    assert views(engine, made) == [(0, 5, False), (1, 5, False)]
    assert pantry.read(made).view == 1
    assert any(posted(engine, made.row.rid + 1).values())
    assert [row.ver for row in rows(engine, hist, made.row.rid + 1)] == [2, 3, 4]


def test_it_is_no_second_hit_for_the_owner(engine: Engine, known: Callable[..., Any]) -> None:  # noqa: F811
    plan = known("plan")
    made = plan.create(PATIENT)
    refer(plan, made)
    context = plan.context()
    found = repository.search(context, engine.searcher.parse("Patient", [("name", "rivera")])).hits
    assert [hit.fid for hit in found] == [made.row.fid]


def test_one_transaction_of_all_in_any_order(engine: Engine, known: Callable[..., Any]) -> None:  # noqa: F811
    """A Patient written before and after its first Task, or deleted after it, in the transaction of the Task."""
    plan, pantry = known("plan"), known("pantry")
    old, gone = plan.create(PATIENT), plan.create({"resourceType": "Patient", "active": True})

    def work(transaction: Transaction) -> list[Change]:
        context = transaction.context

        def put(body: dict[str, Any], fid: str) -> Change:
            new = writing.draft(context, "Patient", json.dumps({**body, "id": fid}).encode())
            return repository.update(context, new, fid, None)

        def share_of(patient: Change) -> None:
            transaction.flush()
            made = repository.create(context, writing.draft(context, "ServiceRequest", json.dumps({
                "resourceType": "ServiceRequest", "status": "active", "intent": "order", "code": {"text": "food"},
                "subject": {"reference": patient.reference},
            }).encode()))  # fmt: skip
            asked_for = json.dumps(task(patient, made, "requested", "pantry")).encode()
            repository.create(context, writing.draft(context, "Task", asked_for))

        new = repository.create(context, writing.draft(context, "Patient", b'{"resourceType":"Patient"}'))
        transaction.flush()
        put({"resourceType": "Patient", "name": [{"family": "Ito"}]}, new.row.fid)
        for one in (new, old, gone):
            share_of(one)
        put({**RENAMED, "name": [{"family": "Okafor"}]}, old.row.fid)
        put({"resourceType": "Patient", "name": [{"family": "Ito-Vang"}]}, new.row.fid)
        repository.delete(context, "Patient", gone.row.fid)
        return [new, old]

    new, _ = run(plan.context(), work)
    names = [json.loads(bytes(pantry.read(one).body))["name"][0]["family"] for one in (new, old)]
    assert names == ["Ito-Vang", "Okafor"]
    assert (views(engine, new), views(engine, old)) == ([(0, 3, False), (1, 3, False)], [(0, 2, False), (1, 2, False)])
    assert views(engine, gone) == [(0, 2, True), (1, 2, True)]
    plan.update(gone, {"resourceType": "Patient", "name": [{"family": "Back"}]})
    assert b"Back" in bytes(pantry.read(gone).body)


def test_whoever_the_transaction_acts_for_sees_it(known: Callable[..., Any]) -> None:  # noqa: F811
    """The share of a moment ago counts for what is done in the receiver's name in the same transaction."""
    plan = known("plan")
    made = plan.create(PATIENT)
    request, asked_for = referral(plan, made)

    def work(transaction: Transaction) -> int:
        repository.create(
            transaction.context, writing.draft(transaction.context, "Task", json.dumps(asked_for).encode())
        )
        with behalf.acting_for(transaction, "Organization/pantry") as acting:
            return repository.read(acting, "Patient", made.row.fid).view

    assert run(plan.context(), work) == 1
    assert request.row.patient == made.row.rh


# ---- upkeep


def test_index_rows_are_made_anew_with_and_without_it(engine: Engine, known: Callable[..., Any]) -> None:  # noqa: F811
    """Rows of an older release: every Patient's own, and those of the contact views that there are."""
    plan = known("plan")
    both = [plan.create({"resourceType": "Patient", "name": [{"family": name}]}) for name in ("Ito", "Vang")]
    refer(plan, both[0])
    before = [posted(engine, one.row.rid + at) for one in both for at in (0, 1)]
    assert not any(before[3].values())
    engine.database.write(lambda open_: open_.execute(update(res).values(gen=res.c.gen + 1)))
    place: Place | None = Place()
    while place is not None:
        stale, place = reindexing.stale(plan.context(), place)
        if stale:
            run(plan.context(), lambda open_, stale=stale: reindexing.renew(open_, stale))
    assert [posted(engine, one.row.rid + at) for one in both for at in (0, 1)] == before
    plan.update(both[1], {"resourceType": "Patient", "name": [{"family": "Later"}]})
    refer(plan, both[1])
    assert any(posted(engine, both[1].row.rid + 1).values())


def test_a_contact_view_of_another_generation_is_indexed_anew(
    engine: Engine,
    known: Callable[..., Any],  # noqa: F811
) -> None:
    """It is made by the index of today, whatever the Patient's own rows are of, and its next version too."""
    plan = known("plan")
    made = plan.create(PATIENT)
    engine.database.write(lambda open_: open_.execute(update(res).values(gen=res.c.gen + 1)))
    refer(plan, made)
    row = contact_of(engine, made)
    assert row.gen == engine.extractor.generation("Patient")
    assert posted(engine, row.rid) == asked(engine, row.rid, json.loads(bytes(row.body)))
    plan.update(made, RENAMED)
    assert posted(engine, row.rid) == asked(engine, row.rid, json.loads(bytes(contact_of(engine, made).body)))


def test_a_purge_leaves_nothing_of_either(engine: Engine, known: Callable[..., Any], org: Callable[..., Any]) -> None:  # noqa: F811
    plan = known("plan")
    referred, alone = plan.create(PATIENT), plan.create({"resourceType": "Patient"})
    refer(plan, referred)
    plan.update(referred, RENAMED)
    for made in (referred, alone):
        purging.purge(org("plan", rights=frozenset({"purge"})).context(), made.row.fid)
        for rid in (made.row.rid, made.row.rid + 1):
            assert [rows(engine, table, rid) for table in (res, hist, outbox)] == [[], [], []]
            assert not any(posted(engine, rid).values())


def test_a_stored_patient_is_found_by_its_hash(database: Database) -> None:
    """However many Patients there are: by the index of references, as an only way."""
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL weighs what it knows of the table")
    view = Visible(caller(), 1, "r")
    compiled = contact_rows._of_hash(view).compile(dialect=sqlite.dialect())
    asked = f"EXPLAIN QUERY PLAN {compiled}"
    driver: Any = database.read().connection.driver_connection
    steps = [row[3] for row in driver.execute(asked, [0] * asked.count("?"))]
    assert steps[0] == "SEARCH r_row USING INDEX res_hash (rh=?)", steps
