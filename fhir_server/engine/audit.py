"""The audit trail: writes in their transaction, reads in a log that the system holds before the answer leaves.

Rows of one writing connection form a chain, h = HMAC(key, previous h | row), so that a changed or missing row shows.
The log of reads is flushed to disk within 50 ms (`strict`: before the answer) and drained into the same table. A log
belongs to the process that holds its lock; one left by a process that died is drained by whoever finds it, once.
No audit, no data.
"""

import errno
import fcntl
import hashlib
import hmac
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import structlog
from sqlalchemy import BigInteger, Connection, Row, bindparam, delete, literal, select, tuple_

from fhir_server.engine import heads, segments
from fhir_server.engine.events import Event
from fhir_server.engine.refusals import Refusals
from fhir_server.fhir.errors import NoStore
from fhir_server.store.db import Database
from fhir_server.store.resources import TENANT
from fhir_server.store.rows import Batch
from fhir_server.store.statements import Statement
from fhir_server.store.tables import audit, setting

log = structlog.get_logger()

_FLUSH_SECONDS = 0.05
_DRAIN_EVERY = 40  # flushes between two drains: about two seconds
_SPOILED = 500  # the outcome of an event that says that others are lost
_LONGEST_QUERY = 65_536  # characters; a URL holds fewer
_VERIFIED = 5000  # rows read at once
_HEADS_EVERY = 1200  # flushes between two lines of heads: about a minute


def add(batch: Batch, connection: Connection, key: bytes, events: Sequence[Event]) -> None:
    """Add events to the batch as the next links of this connection's chain."""
    chain, seq, last = connection.info.get("audit", (0, 0, b""))
    chain = chain or secrets.randbits(62)
    for event in events:
        entities = orjson.dumps(event.entities)
        seq += 1
        last = link(key, last, (TENANT, chain, seq), event, entities)
        batch.add(audit, TENANT, chain, seq, *event[:8], entities, event.query, last)
    connection.info["audit"] = (chain, seq, last)


def link(key: bytes, last: bytes, place: tuple[int, int, int], event: Event, entities: bytes) -> bytes:
    """The hash that ties an event to its place (tenant, chain, number) and to the one before it."""
    row = orjson.dumps([*place, *event[:8], event.query])
    return hmac.digest(key, last + row + entities, hashlib.sha256)


def _spoiled(name: str, lines: int) -> Event:
    said = f"{lines} lines of {name} could not be read; see {segments.SET_ASIDE}{name} in the folder of the trail"
    return Event(time.time_ns() // 1000, "", "audit-spoiled", _SPOILED, "", 0, "", "", [], said)


def _within_bounds(event: Event) -> Event:
    """The event; of a very long query its beginning and a digest, or a few searches would fill the trail."""
    if len(event.query) <= _LONGEST_QUERY:
        return event
    digest = hashlib.sha256(event.query.encode()).hexdigest()
    return event._replace(query=f"{event.query[:_LONGEST_QUERY]} ... {len(event.query)} characters, SHA-256 {digest}")


class ReadLog:
    """Append-only log of reads, one file per process, drained into the audit table by a thread of its own."""

    def __init__(self, folder: Path, database: Database, key: bytes, *, strict: bool) -> None:
        self._folder, self._database, self._key, self._strict = folder, database, key, strict
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._dirty = self._failed = False
        self._path, self._handle = self._open()
        self.refusals = Refusals(self.append)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    def start(self) -> None:
        """Drain what dead processes left, then begin to flush and drain."""
        self._drain_leftovers()
        self._thread.start()

    def append(self, event: Event) -> None:
        """Hand one event to the operating system; NoStore (503) if it does not take it."""
        text = orjson.dumps(list(_within_bounds(event)))
        line = text.replace(b"\\u0000", b"\\ufffd") + b"\n"  # PostgreSQL's text holds no NUL
        try:
            with self._lock:
                self._write(line)
                if self._strict:
                    os.fdatasync(self._handle)
        except OSError as error:
            message = "The audit trail cannot be written, so nothing is disclosed. Try again later."
            raise NoStore(message, headers={"Retry-After": "1"}) from error

    def _write(self, line: bytes) -> None:
        """Write a whole line or nothing: half of one would spoil the next."""
        if self._failed:
            raise OSError(errno.EIO, "the log could not be flushed")
        written = os.write(self._handle, line)
        if written != len(line):
            os.ftruncate(self._handle, os.fstat(self._handle).st_size - written)
            raise OSError(errno.ENOSPC, "the log could not be written whole")
        self._dirty = True

    def is_writable(self) -> bool:
        """Whether the log takes events: its last flush succeeded and its file is there."""
        return not self._failed and self._path.exists()

    def drain(self) -> None:
        """Move everything logged so far into the audit table."""
        with self._lock:
            path, handle = self._path, self._handle
            self._path, self._handle = self._open()
            self._dirty = self._failed = False
        try:
            os.fdatasync(handle)
            self._store(path)
        finally:
            os.close(handle)  # and with it the lock: what could not be stored is a leftover now

    def close(self) -> None:
        """Drain and stop."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.refusals.tell_all()
        self.drain()
        self._path.unlink(missing_ok=True)
        os.close(self._handle)
        self._note_heads()

    def _open(self) -> tuple[Path, int]:
        path = self._folder / f"reads-{os.getpid()}-{secrets.token_hex(6)}.log"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        return path, handle

    def _run(self) -> None:
        rounds = 0
        while not self._stop.wait(_FLUSH_SECONDS):
            rounds += 1
            try:
                self._flush()
                if rounds % _DRAIN_EVERY == 0:
                    self.refusals.tell(time.time_ns() // 1000)
                    self._drain_all()
                if rounds % _HEADS_EVERY == 0:
                    self._note_heads()
            except Exception:  # the next round tries again; until a flush succeeds `append` refuses
                log.exception("audit")

    def _note_heads(self) -> None:
        """Sign how far the chains have come; the trail itself stands whether or not this can be written."""
        try:
            heads.note(self._folder, self._database, self._key)
        except Exception:
            log.exception("audit heads")

    def _flush(self) -> None:
        if self._dirty:
            with self._lock:  # whoever drains meanwhile closes the log's own handle
                self._dirty, handle = False, os.dup(self._handle)
            try:
                os.fdatasync(handle)
            except OSError:
                self._failed = True
                raise
            finally:
                os.close(handle)

    def _drain_all(self) -> None:
        if self._failed or self._path.stat().st_size:
            self.drain()
        self._drain_leftovers()

    def _drain_leftovers(self) -> None:
        """Store the logs that no living process holds."""
        for path in sorted(self._folder.glob("reads-*.log")):
            try:
                self._adopt(path)
            except (BlockingIOError, FileNotFoundError):
                continue  # its process lives, or another one was quicker
            except Exception:  # it stays where it is; the others must not wait for it
                log.exception("audit", file=path.name)

    def _adopt(self, path: Path) -> None:
        handle = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_nlink:
                self._store(path)
        finally:
            os.close(handle)

    def _store(self, path: Path) -> None:
        """Insert the file's events and its name together, so that a file is never counted twice.

        Lines that are none, which no process writes, are set aside with their file, and an event says so.
        """
        name = f"audit-drained:{path.name}"
        lines = path.read_bytes().split(b"\n")[:-1]  # a line without its end was never answered
        events, spoiled = segments.read(lines)
        if spoiled:
            log.error("audit lines spoiled", file=path.name, lines=spoiled, kept=segments.SET_ASIDE + path.name)
            events.append(_spoiled(path.name, spoiled))

        def work(connection: Connection) -> None:
            if _DRAINED.rows(connection, {"name": name}):
                return
            batch = Batch()
            add(batch, connection, self._key, events)
            batch.add(setting, name, str(len(lines)))
            batch.flush(connection)

        if lines:
            self._database.write(work)
        if spoiled:
            path.replace(path.with_name(segments.SET_ASIDE + path.name))
        path.unlink(missing_ok=True)
        if lines:
            self._database.write(lambda connection: connection.execute(_FORGET, {"name_": name}).rowcount)


_DRAINED = Statement(select(setting.c.value).where(setting.c.name == bindparam("name")))
_FORGET = delete(setting).where(setting.c.name == bindparam("name_"))


def verify(
    database: Database, key: bytes, known: Mapping[int, tuple[int, bytes]] | None = None
) -> tuple[int, int | None]:
    """(rows checked, chain of the first broken link or None): walks every chain from its first row.

    A changed, moved or missing row is found. Rows cut from the end of a chain, and a chain that is gone as a whole, are
    found by the heads `known`: chain -> (number, hash) of a link it had once (see `engine.heads`).
    """
    ends = dict(known or {})
    count, current, expected, last = 0, None, 0, b""
    for row in _every(database.read()):
        if row.chain != current:
            if current in ends:
                return count, current
            current, expected, last = row.chain, 0, b""
        expected += 1
        event = Event._make([*row[3:11], (), row.query])
        last = link(key, last, (row.tenant, row.chain, row.seq), event, bytes(row.entities))
        if row.seq != expected or last != bytes(row.hash) or not _agrees(ends, row.chain, row.seq, last):
            return count, row.chain
        count += 1
    return count, min(ends, default=None)


def _every(connection: Connection) -> Iterator[Row[Any]]:
    """All rows, chain by chain, without holding more than some of them."""
    place = audit.c.chain, audit.c.seq
    query = select(audit).order_by(*place).limit(_VERIFIED)
    rows = connection.execute(query).all()
    while rows:
        yield from rows
        after = tuple_(*[literal(number, BigInteger()) for number in (rows[-1].chain, rows[-1].seq)])
        rows = connection.execute(query.where(tuple_(*place) > after)).all()


def _agrees(ends: dict[int, tuple[int, bytes]], chain: int, seq: int, last: bytes) -> bool:
    """Whether a link is the one that was known, if it is the one that was known; it is struck out then."""
    if ends.get(chain, (0, b""))[0] != seq:
        return True
    return ends.pop(chain)[1] == last
