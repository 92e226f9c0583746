"""Connections, group commit and retries: what is acknowledged is stored, and one caller's failure is its own."""

import gc
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import InvalidRequestError

from fhir_server.fhir.errors import BusinessRule, Conflict, LockError, NoStore
from fhir_server.store.db import Database, RunAgain, Taken, lock_key, open_database
from fhir_server.store.db.sqlite import _Ticket
from fhir_server.store.rows import Batch
from fhir_server.store.tables import keys, setting


def put(name: str, value: str = "1") -> Callable[[Any], int]:
    def work(connection: Any) -> int:
        connection.execute(insert(setting).values(name=name, value=value))
        return 1

    return work


def stored(database: Database) -> dict[str, str]:
    rows = database.read().execute(select(setting.c.name, setting.c.value))
    return {row.name: row.value for row in rows}


def at_once(works: list[Callable[[], Any]]) -> list[Any]:
    """Result or exception of each function, all run in threads that start together."""
    barrier, results = threading.Barrier(len(works)), [None] * len(works)

    def one(number: int, work: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            results[number] = work()
        except Exception as error:  # noqa: BLE001 - the failure is the result
            results[number] = error

    threads = [threading.Thread(target=one, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@contextmanager
def held(database: Any) -> Iterator[None]:
    """While this holds, SQLite's writers queue up; afterwards one of them leads them all."""
    with database._lead:
        yield


def gather(database: Any, works: list[Callable[[Any], Any]]) -> list[Any]:
    """Results of transactions that were all waiting when the first of them began."""
    results: list[Any] = [None] * len(works)

    def one(number: int) -> None:
        try:
            results[number] = database.write(works[number])
        except Exception as error:  # noqa: BLE001 - the failure is the result
            results[number] = error

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(works))]
    with held(database):
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 10
        while len(database._queue) < len(works) and time.monotonic() < deadline:
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    return results


@pytest.fixture
def sqlite(fresh_url: Callable[[str], str]) -> Iterator[Any]:
    with closing(open_database(fresh_url("sqlite"))) as opened:
        yield opened


def fail(error: Exception) -> Callable[[Any], Any]:
    def work(connection: Any) -> None:
        put("half done")(connection)
        raise error

    return work


def test_a_write_returns_what_the_work_returns_and_is_seen_by_the_next_read(database: Database) -> None:
    assert database.write(put("a")) == 1
    assert stored(database)["a"] == "1"


def test_a_failing_write_leaves_nothing_and_raises_its_own_error(database: Database) -> None:
    with pytest.raises(BusinessRule, match="no"):
        database.write(fail(BusinessRule("no")))
    assert "half done" not in stored(database)
    assert database.write(put("after")) == 1


def test_a_transaction_within_a_transaction_fails_instead_of_waiting_for_itself(database: Database) -> None:
    """P14: whoever leads a group of writers would wait for itself, and all others with it, for ever."""
    with pytest.raises((RuntimeError, InvalidRequestError)):
        database.write(lambda _: database.write(lambda _: 1))
    assert database.write(lambda _: 2) == 2


def test_a_follower_s_failure_stays_with_it(sqlite: Any) -> None:
    """Group commit: each transaction stands in a savepoint of its own."""
    works = [fail(BusinessRule(f"no {n}")) if n % 3 == 1 else put(f"row {n}") for n in range(30)]
    results = gather(sqlite, works)
    for number, result in enumerate(results):
        assert str(result) == (f"no {number}" if number % 3 == 1 else "1")
    assert {name for name in stored(sqlite) if name.startswith(("row", "half"))} == {
        f"row {n}" for n in range(30) if n % 3 != 1
    }


def test_a_group_is_one_commit(sqlite: Any) -> None:
    """Thirty waiting transactions share one flush to disk."""
    commits = []
    original = sqlite._run
    sqlite._run = lambda group: (commits.append(len(group)), original(group))
    assert gather(sqlite, [put(f"row {n}") for n in range(30)]) == [1] * 30
    assert commits == [30]


def test_nobody_is_left_out_when_more_wait_than_one_group_holds(sqlite: Any) -> None:
    """A writer whose turn comes in the second group is not told that it was stored before it was."""
    assert gather(sqlite, [put(f"row {n}") for n in range(150)]) == [1] * 150
    assert len([name for name in stored(sqlite) if name.startswith("row")]) == 150


def test_many_writers_at_once(database: Database) -> None:
    results = at_once([lambda n=n: database.write(put(f"row {n}")) for n in range(80)])
    assert results == [1] * 80
    assert len([name for name in stored(database) if name.startswith("row")]) == 80


def test_run_again_runs_from_zero(database: Database) -> None:
    """P2: the whole work is run again, and nothing of the first run stays."""
    runs = []

    def work(connection: Any) -> int:
        runs.append(1)
        put(f"run {len(runs)}")(connection)
        if len(runs) < 3:
            raise RunAgain
        return len(runs)

    assert database.write(work) == 3
    assert {name for name in stored(database) if name.startswith("run")} == {"run 3"}


@pytest.mark.parametrize(("error", "most"), [(RunAgain, 8), (Taken, 3)])
def test_what_never_succeeds_is_a_conflict(database: Database, error: type[Exception], most: int) -> None:
    """P5: 409, never 500."""
    runs = []

    def work(_connection: Any) -> None:
        runs.append(1)
        raise error

    with pytest.raises(Conflict):
        database.write(work)
    assert len(runs) == most


def test_a_taken_key_is_a_conflict_and_not_a_crash(database: Database) -> None:
    """P5: a row that breaks a unique key was written by somebody who came first."""

    def work(connection: Any) -> None:
        batch = Batch()
        batch.add(keys, 1, 0, 7, 1, "system|value", 2, "x")
        batch.flush(connection)

    database.write(work)
    with pytest.raises(Conflict):
        database.write(work)


def test_racing_inserts_of_one_key_leave_one(database: Database) -> None:
    """P1: the key decides; who comes second finds the first one's row when it is run again."""

    def work(connection: Any) -> str:
        found = connection.execute(select(keys.c.fid).where(keys.c.key == "k")).scalar()
        if found:
            return "found"
        batch = Batch()
        batch.add(keys, 1, 0, 7, 1, "k", 2, "x")
        batch.flush(connection)
        return "made"

    for _ in range(5):
        results = at_once([lambda: database.write(work)] * 12)
        assert sorted(map(str, results)) == ["found"] * 11 + ["made"]
        database.write(lambda connection: connection.execute(keys.delete()).rowcount)


def test_counting_up_loses_nothing(database: Database) -> None:
    """P4, P7: a compare-and-set in the statement itself, run again when another write came first."""
    database.write(put("counter", "0"))

    def work(connection: Any) -> None:
        value = connection.execute(select(setting.c.value).where(setting.c.name == "counter")).scalar_one()
        change = update(setting).where(setting.c.name == "counter", setting.c.value == value)
        if connection.execute(change.values(value=str(int(value) + 1))).rowcount != 1:
            raise RunAgain

    results = at_once([lambda: [_until_done(database, work) for _ in range(10)]] * 8)
    assert not [result for result in results if isinstance(result, Exception)]
    assert stored(database)["counter"] == "80"


def _until_done(database: Database, work: Callable[[Any], None]) -> None:
    while True:
        try:
            return database.write(work)
        except Conflict:
            continue


def test_a_key_is_locked_until_the_transaction_ends(database: Database) -> None:
    """P1: between the lock and the commit nobody else is inside."""
    inside, most = [0], [0]

    def work(connection: Any) -> None:
        lock_key(connection, 42)
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.005)
        inside[0] -= 1

    at_once([lambda: database.write(work)] * 8)
    assert most == [1]


def test_a_failed_commit_fails_every_member_of_the_group_and_stores_nothing(sqlite: Any) -> None:
    """P8: an error at COMMIT is an error to each client, and the connection is given up."""
    sqlite.write(put("before"))
    writer = sqlite._writer
    sqlite._begin = lambda: _FailingCommit(sqlite)
    results = gather(sqlite, [put(f"row {n}") for n in range(10)])
    del sqlite._begin
    assert [type(result) for result in results] == [NoStore] * 10
    assert sqlite._writer is not writer
    assert "row 0" not in stored(sqlite)
    assert sqlite.write(put("after")) == 1
    assert set(stored(sqlite)) >= {"before", "after"}


class _FailingCommit:
    """The writer's connection on a disk that breaks when the transaction is to be made durable."""

    def __init__(self, database: Any) -> None:
        self._connection = type(database)._begin(database)

    def exec_driver_sql(self, sql: str) -> Any:
        if sql == "COMMIT":
            failure = sqlite3.OperationalError("disk I/O error")
            failure.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise failure
        return self._connection.exec_driver_sql(sql)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def test_a_full_disk_is_said_and_heals(sqlite: Any) -> None:
    """Row 115: 503 no-store; nothing of the group is kept, and the next write succeeds once there is room."""
    sqlite.write(put("before"))
    pages = sqlite._writer.exec_driver_sql("PRAGMA page_count").scalar()
    sqlite._writer.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(NoStore):
        sqlite.write(put("big", "x" * 1_000_000))
    assert "big" not in stored(sqlite)
    sqlite._writer = None
    assert sqlite.write(put("after")) == 1


def test_a_locked_file_is_a_lock_error(sqlite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 114: 503 lock-error with Retry-After when another process keeps the writer's place."""
    sqlite.write(put("before"))
    sqlite._writer.exec_driver_sql("PRAGMA busy_timeout=50")
    path = sqlite.engine.url.database
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LockError) as caught:
            sqlite.write(put("kept out"))
        other.execute("ROLLBACK")
    assert caught.value.headers["Retry-After"]
    assert sqlite.write(put("let in")) == 1
    assert "kept out" not in stored(sqlite)


def test_a_rolled_back_transaction_leaves_nothing_in_the_connection_s_memory(database: Database) -> None:
    """What hangs on the connection (the audit chain) goes back with the rows."""

    def remember(connection: Any) -> None:
        connection.info["audit"] = "wrong"
        raise BusinessRule("no")

    database.write(lambda connection: connection.info.update(audit="right"))
    with pytest.raises(BusinessRule):
        database.write(remember)
    assert database.write(lambda connection: connection.info["audit"]) == "right"


def open_connections(database: Database) -> int:
    return len([one for one in database._held if not one.closed])


@pytest.mark.long
@pytest.mark.parametrize("what", ["read", "write"])
def test_a_thousand_short_threads_use_few_connections(database: Database, what: str) -> None:
    """Connections of ended threads are used again."""
    failures = []

    def short(number: int) -> None:
        try:
            database.read().execute(text("SELECT 1")) if what == "read" else database.write(put(f"row {number}"))
        except Exception as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    for start in range(0, 1000, 10):
        threads = [threading.Thread(target=short, args=(start + n,)) for n in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    gc.collect()
    assert failures == []
    assert open_connections(database) <= 21
    if what == "write":
        assert len([name for name in stored(database) if name.startswith("row")]) == 1000


def test_a_thread_keeps_its_reading_connection(database: Database) -> None:
    assert database.read() is database.read()


def test_reads_see_every_commit_without_ending_a_transaction(database: Database) -> None:
    """P9: the reading connection is in no transaction, so no snapshot grows old."""
    for number in range(5):
        database.read().execute(select(setting.c.name)).all()
        at_once([lambda n=number: database.write(put(f"row {n}"))])
        assert f"row {number}" in stored(database)


def test_sqlite_is_durable(sqlite: Any) -> None:
    """P8: write-ahead log, flushed to disk at every commit."""
    sqlite.write(put("a"))
    for connection in (sqlite._writer, sqlite.read()):
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


@pytest.mark.postgresql
def test_postgresql_is_durable(fresh_url: Callable[[str], str]) -> None:
    """P8: a commit waits for the disk."""
    with closing(open_database(fresh_url("postgresql"))) as database:
        assert database.write(lambda c: c.execute(text("SHOW synchronous_commit")).scalar()) == "on"
        assert database.read().execute(text("SHOW fsync")).scalar() == "on"


def test_a_ticket_raises_what_its_work_raised() -> None:
    ticket: _Ticket[int] = _Ticket(lambda _connection: 1)
    ticket.error = BusinessRule("no")
    with pytest.raises(BusinessRule):
        ticket.result()


def test_a_database_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    """Row 115."""
    with closing(open_database(f"sqlite:///{tmp_path}/no/such/folder/x.db")) as database:
        with pytest.raises(NoStore):
            database.write(put("a"))
        with pytest.raises(NoStore):
            database.read()
