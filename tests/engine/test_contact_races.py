"""A write of a Patient and the first referral for it at the same time: the contact view is of the last version (P4)."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import select

from fhir_server.access.classes import HIV
from fhir_server.engine import purging, repository, transaction
from fhir_server.engine.context import Engine, Transaction
from fhir_server.fhir.definitions import type_number
from fhir_server.jobs import remains
from fhir_server.store.tables import res
from tests.engine.conftest import Org, caller
from tests.engine.test_access_rows import known, referral  # noqa: F401 - a fixture
from tests.engine.test_contact_labels import labelled
from tests.engine.test_contact_rows import PATIENT, RENAMED, contact_of, rows

HIDING = labelled("HIV")["meta"]


@pytest.mark.parametrize(
    ("late", "meanwhile", "is_done"),
    [("update", "referral", False), ("update", "referral", True), ("referral", "update", False),
     ("referral", "update", True), ("delete", "referral", True), ("referral", "delete", False),
     ("referral", "label", False), ("label", "referral", True), ("referral", "purge", False),
     ("referral", "purge", True)],
)  # fmt: skip
def test_a_write_beside_the_first_referral(
    engine: Engine,
    known: Callable[..., Any],  # noqa: F811
    late: str,
    meanwhile: str,
    is_done: bool,
) -> None:
    """P4: of two transactions that are open at once either ends first: the view is of the last version, or gone."""
    if engine.database.dialect == "sqlite":
        pytest.skip("one writer: no two transactions are open at once")
    plan, pantry = known("plan"), known("pantry")
    made = plan.create(PATIENT)
    _, asked_for = referral(plan, made)
    purger = Org(engine, caller("plan", rights=frozenset({"purge"})))
    acts: dict[str, Callable[[], Any]] = {
        "update": lambda: plan.update(made, RENAMED),
        "referral": lambda: plan.create(asked_for),
        "label": lambda: repository.amend(plan.context(), "Patient", made.row.fid, lambda meta: {**meta, **HIDING}),
        "delete": lambda: plan.delete(made),
        "purge": lambda: purging.purge(purger.context(), made.row.fid),
    }
    with held_up(acts[late], is_done=is_done):
        other = Doing(acts[meanwhile])
        other.join(0.2 if is_done else 20)  # who comes second waits for the first
    other.end()
    row, whole = contact_of(engine, made), next(iter(rows(engine, res, made.row.rid)), None)
    if meanwhile == "purge":
        assert row is whole is None
        return
    assert (row.ver, row.ts, bool(row.deleted)) == (whole.ver, whole.ts, bool(whole.deleted))
    assert row.labels == whole.labels == (HIV if "label" in {late, meanwhile} else 0)
    if "update" in {late, meanwhile}:
        assert b"Vang" in bytes(pantry.read(made).body)


class Doing(threading.Thread):
    """Something done beside the test; its failure is the test's."""

    def __init__(self, act: Callable[[], Any]) -> None:
        super().__init__()
        self.act, self.failed = act, list[BaseException]()
        self.start()

    def run(self) -> None:
        try:
            self.act()
        except BaseException as error:  # noqa: BLE001 - told to the test
            self.failed.append(error)

    def end(self) -> None:
        self.join(20)
        assert self.failed == []


@contextmanager
def held_up(act: Callable[[], Any], *, is_done: bool) -> Iterator[None]:
    """The transaction of `act` waits for the end of the block: before it finishes, or when all it does is done."""
    waiting, go = threading.Event(), threading.Event()
    finish, test = transaction.finish, threading.current_thread()
    slow: list[threading.Thread] = []

    def hold() -> None:
        waiting.set()
        go.wait(20)

    def finish_late(open_: Transaction) -> None:
        first = not slow and threading.current_thread() is not test
        if first:
            slow.append(threading.current_thread())
        if first and not is_done:
            hold()
        finish(open_)
        if first and is_done:
            hold()

    transaction.finish = finish_late
    try:
        doing = Doing(act)
        assert waiting.wait(20), doing.failed
        yield
    finally:
        go.set()
        transaction.finish = finish
    doing.end()


@pytest.mark.parametrize("is_done", [False, True])
def test_what_is_written_beside_a_purge_goes_with_the_next_tidying(
    engine: Engine,
    known: Callable[..., Any],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    is_done: bool,
) -> None:
    """A2: a second look, when every transaction that was open has ended, leaves nothing of the record."""
    if engine.database.dialect == "sqlite":
        pytest.skip("one writer: no two transactions are open at once")
    engine.hooks.on_purge.append(remains.note)
    plan = known("plan")
    made, other = plan.create(PATIENT), plan.create({"resourceType": "Patient", "active": True})
    finding = {"resourceType": "Condition", "code": {"text": "late"}}
    purger = Org(engine, caller("plan", rights=frozenset({"purge"})))

    def write() -> None:
        plan.create({**finding, "subject": {"reference": made.reference}})

    with held_up(write, is_done=is_done):
        purging.purge(purger.context(), made.row.fid)
    plan.create({**finding, "subject": {"reference": other.reference}})
    assert remains.look_again(engine) == 0
    later = engine.clock() + 3000 * engine.settings.transaction_seconds
    monkeypatch.setattr(engine, "clock", lambda: later)
    assert remains.look_again(engine) == 1
    assert remains.look_again(engine) == 0
    found = engine.database.read().execute(select(res.c.patient).where(res.c.type == type_number("Condition")))
    assert found.scalars().all() == [other.row.rh]


def test_a_record_under_an_id_that_was_taken_again_is_left_alone(
    engine: Engine,
    known: Callable[..., Any],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A2: the second look removes what is left of the record that was purged, and nothing of a new one."""
    engine.hooks.on_purge.append(remains.note)
    plan, purger = known("plan"), Org(engine, caller("plan", rights=frozenset({"purge"})))
    made = plan.create(PATIENT)
    purging.purge(purger.context(), made.row.fid)
    again = plan.create(PATIENT, made.row.fid)
    finding = plan.create(
        {"resourceType": "Condition", "code": {"text": "new"}, "subject": {"reference": again.reference}}
    )
    later = engine.clock() + 3000 * engine.settings.transaction_seconds
    monkeypatch.setattr(engine, "clock", lambda: later)
    assert remains.look_again(engine) == 0
    assert plan.read(again)
    assert plan.read(finding)
    assert remains.look_again(engine) == 0
