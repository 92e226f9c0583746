"""The log of reads: in the system's hands before the answer leaves, and in the audit table exactly once."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from fhir_server.engine import audit, repository
from fhir_server.engine.audit import ReadLog
from fhir_server.engine.context import Engine
from fhir_server.engine.events import Event
from fhir_server.fhir.errors import NoStore, NotFound
from fhir_server.store.db import Database
from fhir_server.store.history import Place, Span
from fhir_server.store.tables import audit as table
from fhir_server.store.tables import setting

KEY = b"k" * 32
PATIENT = {"resourceType": "Patient", "name": [{"family": "Rivera"}]}
ROOT = Path(__file__).parents[2]


def event(number: int = 1, query: str = "") -> Event:
    return Event(number, f"r{number}", "read", 200, "client", 5, "TREAT", "::1", [["Patient", "x", 1, 7, 0]], query)


def stored(database: Database) -> list[str]:
    return list(database.read().execute(select(table.c.request).order_by(table.c.chain, table.c.seq)).scalars())


def marks(database: Database) -> list[str]:
    names = database.read().execute(select(setting.c.name)).scalars()
    return [name for name in names if name.startswith("audit-drained")]


def logs(folder: Path) -> list[Path]:
    return sorted(folder.glob("reads-*.log"))


def logged(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in logs(folder))


def opened(folder: Path, database: Database) -> ReadLog:
    return ReadLog(folder, database, KEY, strict=False)


def dead_log(folder: Path, name: str, text: bytes) -> Path:
    """What a process that was killed left behind."""
    folder.mkdir(exist_ok=True)
    path = folder / f"reads-{name}.log"
    path.write_bytes(text)
    return path


def line(number: int) -> bytes:
    return orjson.dumps(list(event(number))) + b"\n"


def test_a_read_is_in_the_log_before_its_answer(engine: Engine, org: Callable[..., Any]) -> None:
    """No audit, no data: the line is written when the function returns, not later."""
    made = org().create(PATIENT)
    folder = engine.settings.folder / "audit"
    before = logged(folder)
    org().read(made)
    assert logged(folder) == before + 1


def test_hidden_and_absent_are_logged_alike(engine: Engine, org: Callable[..., Any]) -> None:
    """A 404 is recorded with what was asked for, not with whether it exists."""
    made = org("plan").create(PATIENT)
    folder = engine.settings.folder / "audit"
    for fid in (made.row.fid, "absent"):
        with pytest.raises(NotFound):
            repository.read(org("stranger").context(), "Patient", fid)
    lines = b"".join(path.read_bytes() for path in logs(folder)).splitlines()
    hidden, absent = (orjson.loads(text) for text in lines[-2:])
    assert hidden[2:9] == absent[2:9]
    assert hidden[9].replace(made.row.fid, "absent") == absent[9]


def test_a_drain_moves_the_lines_into_the_chain(database: Database, tmp_path: Path) -> None:
    log = opened(tmp_path, database)
    for number in range(5):
        log.append(event(number))
    log.drain()
    assert stored(database) == [f"r{number}" for number in range(5)]
    assert audit.verify(database, KEY) == (5, None)
    assert logged(tmp_path) == 0
    assert marks(database) == []
    log.close()
    assert logs(tmp_path) == []


def test_the_thread_drains_by_itself(database: Database, tmp_path: Path) -> None:
    log = opened(tmp_path, database)
    log.start()
    log.append(event())
    deadline = time.monotonic() + 15
    while not stored(database) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert stored(database) == ["r1"]
    log.close()
    assert stored(database) == ["r1"]


def test_the_log_of_a_dead_process_is_drained_once(database: Database, tmp_path: Path) -> None:
    """P8: what was logged before a kill is stored at the next start, and only once."""
    dead_log(tmp_path, "1-a", line(1) + line(2))
    dead_log(tmp_path, f"{os.getpid()}-b", line(3))  # its number may be ours by chance
    for _ in range(2):
        log = opened(tmp_path, database)
        log.start()
        log.close()
    assert stored(database) == ["r1", "r2", "r3"]
    assert logs(tmp_path) == []


def test_a_crash_between_insert_and_unlink_counts_once(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file's name is stored with its rows, so that a file found again is known."""
    path = dead_log(tmp_path, "1-a", line(1) + line(2))
    log = opened(tmp_path, database)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", _no_unlink)
        log._drain_leftovers()
    assert path.exists()
    assert stored(database) == ["r1", "r2"]
    assert marks(database) == [f"audit-drained:{path.name}"]
    log._drain_leftovers()
    assert stored(database) == ["r1", "r2"]
    assert marks(database) == []
    assert not path.exists()
    log.close()


def _no_unlink(_path: Path, *_given: Any, **_options: Any) -> None:
    message = "killed"
    raise OSError(message)


def test_half_a_line_is_left_out(database: Database, tmp_path: Path) -> None:
    """A process killed while it wrote a line has answered nothing for it."""
    dead_log(tmp_path, "1-a", line(1) + line(2)[:-20])
    log = opened(tmp_path, database)
    log._drain_leftovers()
    log.close()
    assert stored(database) == ["r1"]


def test_a_spoiled_log_does_not_hold_up_the_others(database: Database, tmp_path: Path) -> None:
    spoiled = dead_log(tmp_path, "1-a", line(1) + b"nonsense\n" + line(3))
    dead_log(tmp_path, "2-b", line(2))
    log = opened(tmp_path, database)
    log._drain_leftovers()
    assert logs(tmp_path) == [log._path]
    log.close()
    assert stored(database) == ["r1", "r3", "", "r2"]
    query = select(table.c.outcome, table.c.query).where(table.c.interaction == "audit-spoiled")
    [(outcome, told)] = database.read().execute(query).all()
    assert (outcome, told.startswith(f"1 lines of {spoiled.name} could not be read")) == (500, True)
    assert (tmp_path / f"spoiled-{spoiled.name}").read_bytes() == line(1) + b"nonsense\n" + line(3)
    assert marks(database) == []
    assert audit.verify(database, KEY) == (4, None)


WRONG = (
    b"[]", b"{}", b"null", b"[1,2]", b"\x00\x00\x00", b"\xff\xfe", line(1)[:-3], line(1)[:-2] + b",1]",
    b'["1","r","read",200,"c",5,"T","::1",[],""]', b'[1,"r","read",200,"c",99999999999999999999,"T","::1",[],""]',
    b'[1,"r","read",99999,"c",5,"T","::1",[],""]', b'[1,"a\\u0000","read",200,"c",5,"T","::1",[],""]',
    b'[1,"r","read",200,"c",5,"T","::1",[99999999999999999999],""]', b'[1,"\\ud800","read",200,"c",5,"T","::1",[],""]',
)  # fmt: skip


def test_whatever_lines_hold_the_others_are_stored(database: Database, tmp_path: Path) -> None:
    """T30: a spoiled line is no reason to try for ever, and none to lose its neighbours."""
    dead_log(tmp_path, "1-a", line(0) + b"".join(one + b"\n" + line(n) for n, one in enumerate(WRONG, 1)))
    log = opened(tmp_path, database)
    log._drain_leftovers()
    log.close()
    assert stored(database) == [*[f"r{number}" for number in range(len(WRONG) + 1)], ""]
    told = database.read().execute(select(table.c.query).where(table.c.interaction == "audit-spoiled")).scalar_one()
    assert told.startswith(f"{len(WRONG)} lines of reads-1-a.log")
    assert len(list(tmp_path.glob("spoiled-*"))) == 1
    assert logs(tmp_path) == []


def test_a_crash_before_a_spoiled_log_is_set_aside(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its events are stored once, and it is set aside by whoever finds it next."""
    dead_log(tmp_path, "1-a", line(1) + b"nonsense\n")
    log = opened(tmp_path, database)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", _no_unlink)
        log._drain_leftovers()
    assert stored(database) == ["r1", ""]
    log._drain_leftovers()
    log.close()
    assert stored(database) == ["r1", ""]
    assert len(list(tmp_path.glob("spoiled-*"))) == 1
    assert marks(database) == []


_LIVING = """
import sys, time
from pathlib import Path
from fhir_server.engine.audit import ReadLog
from fhir_server.engine.events import Event
log = ReadLog(Path(sys.argv[1]), None, b"k" * 32, strict=False)
log.append(Event(*eval(sys.argv[2])))
print("ready", flush=True)
time.sleep(60)
"""


def test_the_log_of_a_living_process_is_left_alone_until_it_is_killed(database: Database, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _LIVING, str(tmp_path), repr(list(event(9)))]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"ready\n"
        log = opened(tmp_path, database)
        log._drain_leftovers()
        assert stored(database) == []
        other.kill()
        other.wait()
    log._drain_leftovers()
    log.close()
    assert stored(database) == ["r9"]


def test_two_starts_at_once_drain_each_log_once(database: Database, tmp_path: Path) -> None:
    """Two workers that come up together after a crash find the same logs."""
    import threading  # noqa: PLC0415 - beside its use

    for number in range(20):
        dead_log(tmp_path, f"{number}-a", line(number))
    both = [opened(tmp_path, database) for _ in range(2)]
    threads = [threading.Thread(target=log._drain_leftovers) for log in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for log in both:
        log._drain_leftovers()
        log.close()
    assert sorted(stored(database)) == sorted(f"r{number}" for number in range(20))
    assert audit.verify(database, KEY) == (20, None)


def unwritable(log: ReadLog, tmp_path: Path) -> int:
    """Put a handle that takes nothing in place of the log's own."""
    good, log._handle = log._handle, os.open(tmp_path, os.O_RDONLY)
    return good


def test_without_a_log_there_is_no_data(engine: Engine, org: Callable[..., Any], tmp_path: Path) -> None:
    """Row 115: 503 no-store instead of the resource, however it is asked for."""
    made = org().create(PATIENT)
    good = unwritable(engine.reads, tmp_path)
    context = org().context()
    query = engine.searcher.parse("Patient", [("name", "rivera")])
    for ask in (
        lambda: repository.read(context, "Patient", made.row.fid),
        lambda: repository.vread(context, "Patient", made.row.fid, 1),
        lambda: repository.history(context, "Patient", made.row.fid, Span(), Place(), 9),
        lambda: repository.search(context, query),
        lambda: repository.read(context, "Patient", "absent"),
    ):
        with pytest.raises(NoStore) as caught:
            ask()
        assert caught.value.status == 503
    os.close(engine.reads._handle)
    engine.reads._handle = good
    assert org().read(made)


def test_a_folder_that_cannot_be_written_stops_the_server_from_starting(database: Database, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OSError, match="file"):
        opened(blocked, database)


def test_half_written_lines_are_taken_back(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk may take a part of a line: that read is refused, and the next line stands by itself."""
    log = opened(tmp_path, database)
    log.append(event(1))
    real = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda handle, text: real(handle, text[:10]))
        with pytest.raises(NoStore):
            log.append(event(2))
    log.append(event(3))
    log.drain()
    log.close()
    assert stored(database) == ["r1", "r3"]


def test_a_failed_flush_refuses_reads_until_a_new_log_is_open(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P8: after a failed flush the pages are lost to the system, so a second flush proves nothing."""
    log = opened(tmp_path, database)
    log.append(event(1))
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", _no_flush)
        with pytest.raises(OSError, match="broken"):
            log._flush()
    with pytest.raises(NoStore):
        log.append(event(2))
    log._drain_all()
    log.append(event(3))
    log.drain()
    log.close()
    assert stored(database) == ["r1", "r3"]


def test_a_drain_in_the_midst_of_a_flush_is_no_failure(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P14: the log is swapped by whoever wants it drained; the flush under way has a handle of its own."""
    log = opened(tmp_path, database)
    log.append(event(1))
    flush = os.fdatasync

    def after_a_drain(handle: int) -> None:
        monkeypatch.setattr(os, "fdatasync", flush)
        log.drain()
        flush(handle)

    monkeypatch.setattr(os, "fdatasync", after_a_drain)
    log._flush()
    assert log.is_writable()
    log.append(event(2))
    log.close()
    assert stored(database) == ["r1", "r2"]


def _no_flush(_handle: int) -> None:
    message = "broken disk"
    raise OSError(message)


def test_strict_flushes_before_the_answer(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = ReadLog(tmp_path, database, KEY, strict=True)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", _no_flush)
        with pytest.raises(NoStore):
            log.append(event(1))
    log.close()


@pytest.mark.parametrize("query", ["a\x00b", "back\\u0000slash", "line\nbreak", "Ünïcödé 😀"])
def test_any_text_can_be_drained(database: Database, tmp_path: Path, query: str) -> None:
    """PostgreSQL's text holds no NUL: one odd request must not stop the trail."""
    log = opened(tmp_path, database)
    log.append(event(1, query))
    log.append(event(2))
    log.drain()
    log.close()
    assert stored(database) == ["r1", "r2"]
    assert audit.verify(database, KEY) == (2, None)


def test_a_database_that_is_away_for_a_while_loses_no_line(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(tmp_path, database)
    log.append(event(1))
    with monkeypatch.context() as away:
        away.setattr(database, "write", _no_database)
        with pytest.raises(NoStore):
            log.drain()
        log.append(event(2))
    log._drain_all()
    log.close()
    assert sorted(stored(database)) == ["r1", "r2"]


def _no_database(_work: Any) -> None:
    raise NoStore("away")
