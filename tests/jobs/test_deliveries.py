"""Messages on their way out: taken by one sender at a time, due again if it dies, later and later if it fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import parse
from fhir_server.config import Settings
from fhir_server.engine.build import build
from fhir_server.engine.context import Engine, Transaction
from fhir_server.engine.transaction import run
from fhir_server.fhir.errors import BusinessRule
from fhir_server.jobs import deliveries
from fhir_server.jobs.worker import Worker
from fhir_server.store.hashing import rh
from fhir_server.store.tables import delivery

SENDER = Caller("client", "Organization/plan", rh("Organization/plan"), "covered", parse("system/*.cruds"), "TREAT")


@pytest.fixture
def engine(database_url: str, tmp_path: Path) -> Iterator[Engine]:
    """An engine whose clock stands still until a test moves it."""
    made = build(Settings(data_folder=str(tmp_path / "var"), database_url=database_url))
    made.clock = lambda: 1_000_000
    made.start()
    yield made
    made.close()


def queued(engine: Engine, message: str) -> None:
    """Queue a message with a transaction of its own."""
    run(engine.context(SENDER, "request"), lambda open_: deliveries.queue(open_, message, "Organization/plan"))


def test_a_message_is_taken_once_and_falls_due_again(engine: Engine) -> None:
    """At least once: the lease of a sender that dies runs out."""
    queued(engine, "one")
    taken = deliveries.claim(engine)
    assert taken == deliveries.Delivery("one", "Organization/plan", 1)
    assert deliveries.claim(engine) is None
    engine.clock = lambda: 1_000_000 + 60_000
    assert deliveries.claim(engine) == deliveries.Delivery("one", "Organization/plan", 2)


def test_what_was_settled_is_gone(engine: Engine) -> None:
    """Together with the transaction that records the sending."""
    queued(engine, "one")
    assert deliveries.claim(engine)
    run(engine.context(SENDER, "request"), lambda open_: deliveries.settle(open_, "one", "sent"))
    engine.clock = lambda: 10**12
    assert deliveries.claim(engine) is None


def test_the_wait_grows_up_to_an_hour(engine: Engine) -> None:
    """It doubles from try to try."""
    queued(engine, "one")
    waits = []
    for attempts in range(1, 12):
        deliveries.postpone(engine, deliveries.Delivery("one", "Organization/plan", attempts))
        waits.append(engine.database.read().execute(select(delivery.c.due)).scalar_one() - engine.clock())
    assert waits[:3] == [30_000, 60_000, 120_000]
    assert waits == sorted(waits)
    assert waits[-1] == 3_600_000


def test_a_transaction_that_fails_queues_nothing(engine: Engine) -> None:
    """The message is stored with its cause or not at all."""

    def work(transaction: Transaction) -> None:
        deliveries.queue(transaction, "one", "Organization/plan")
        transaction.flush()
        raise BusinessRule("It was not to be.")

    with pytest.raises(BusinessRule):
        run(engine.context(SENDER, "request"), work)
    assert deliveries.claim(engine) is None


def test_chores_are_done_between_jobs(engine: Engine) -> None:
    """Every chore has its turn, and the worker goes on while one of them has something to do."""
    done: list[str] = []
    left = iter([True, False])
    engine.chores += [lambda _: bool(done.append("one")), lambda _: done.append("two") or next(left)]
    worker = Worker(engine)
    assert worker.work_once()
    assert not worker.work_once()
    assert done == ["one", "two"] * 2
