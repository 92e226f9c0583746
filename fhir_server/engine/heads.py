"""The heads of the audit chains, signed and kept in a file beside the database.

A chain proves that nothing within it was changed, not that nothing was cut from its end. So once a minute the last link
of every chain that grew is appended to this file, each line signed together with the one before it; how many lines
there are stands in the database. Who takes audit rows away has to take them from both. Copy the file elsewhere, or make
it append-only, and it has to be taken from there too.
"""

import fcntl
import hashlib
import hmac
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import orjson
from sqlalchemy import Connection, bindparam, delete, func, select

from fhir_server.store.db import Database
from fhir_server.store.rows import Batch
from fhir_server.store.statements import Statement
from fhir_server.store.tables import audit, setting

NAME: Final = "heads.log"
_LATE = 300_000_000  # microseconds by which an event may be stored later than it happened
_TAIL = 1024 * 1024


class Line(NamedTuple):
    """One line: its number, the newest event it knows (microseconds), (chain, number, hash) of heads, its signature."""

    number: int
    at: int
    heads: list[tuple[int, int, bytes]]
    signature: bytes


class Known(NamedTuple):
    """What the file says: chain -> (number, hash) of its last link known, and what is wrong with the file, if anything.

    `wrong` is a sentence for the operator; "" if the file is as it was written.
    """

    heads: Mapping[int, tuple[int, bytes]]
    wrong: str


def note(folder: Path, database: Database, key: bytes) -> bool:
    """Append the heads of the chains that grew since the last line; False if none did."""
    path = folder / NAME
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        last = _last(handle)
        heads, newest = _grown(database.read(), last)
        if not heads:
            return False
        line = _line(key, last, max(newest, last.at), heads)
        os.write(handle, line)
        os.fdatasync(handle)
        database.write(lambda connection: _count(connection, _place(folder), last.number + 1))
        return True
    finally:
        os.close(handle)


def read(folder: Path, database: Database, key: bytes) -> Known:
    """The heads in the file, each line checked against its signature, their number against the database."""
    path, found, number, before = folder / NAME, dict[int, tuple[int, bytes]](), 0, b""
    for text in path.read_bytes().splitlines() if path.exists() else ():
        content, _, signature = text.rpartition(b"\t")
        if not hmac.compare_digest(_signed(key, before, content).encode(), signature):
            return Known(found, f"Line {number + 1} of {path} was changed, or a line before it removed.")
        line = _parsed(text)
        number, before = line.number, line.signature
        found.update({chain: (seq, link) for chain, seq, link in line.heads})
    stored = _LINES.rows(database.read(), {"name": _place(folder)})
    most = int(stored[0][0]) if stored else 0
    return Known(found, f"{path} ends with line {number} of {most}: lines were removed." if most > number else "")


def _grown(connection: Connection, last: Line) -> tuple[list[tuple[int, int, bytes]], int]:
    """The heads of the chains with events since the last line, but for those that stand in it, and the newest event."""
    since = min(last.at, time.time_ns() // 1000) - _LATE
    known = {chain: seq for chain, seq, _ in last.heads}
    rows = _GROWN.rows(connection, {"since": since})
    heads = [
        (chain, seq, bytes(_HASH.rows(connection, {"chain": chain, "seq": seq})[0][0]))
        for chain, seq, _ in rows
        if seq > known.get(chain, 0)
    ]
    return heads, max((at for _, _, at in rows), default=0)


def _last(handle: int) -> Line:
    """The file's last line; one that was not written whole is cut off."""
    size = os.fstat(handle).st_size
    tail = os.pread(handle, _TAIL, max(0, size - _TAIL))
    whole = tail[: tail.rfind(b"\n") + 1]
    if len(whole) < len(tail):
        os.ftruncate(handle, size - len(tail) + len(whole))
    return _parsed(whole.splitlines()[-1]) if whole else Line(0, 0, [], b"")


def _line(key: bytes, last: Line, at: int, heads: list[tuple[int, int, bytes]]) -> bytes:
    content = orjson.dumps([last.number + 1, at, [[chain, seq, link.hex()] for chain, seq, link in heads]])
    return content + b"\t" + _signed(key, last.signature, content).encode() + b"\n"


def _parsed(text: bytes) -> Line:
    content, _, signature = text.rpartition(b"\t")
    number, at, heads = orjson.loads(content)
    return Line(number, at, [(chain, seq, bytes.fromhex(link)) for chain, seq, link in heads], signature)


def _signed(key: bytes, before: bytes, content: bytes) -> str:
    return hmac.new(key, b"audit heads\n" + before + b"\n" + content, hashlib.sha256).hexdigest()


def _place(folder: Path) -> str:
    """The name under which the database counts the lines of this host's file."""
    return f"audit-heads:{socket.gethostname()}:{folder.absolute()}"


def _count(connection: Connection, name: str, lines: int) -> None:
    connection.execute(_FORGET, {"name_": name})
    batch = Batch()
    batch.add(setting, name, str(lines))
    batch.flush(connection)


_GROWN = Statement(
    select(audit.c.chain, func.max(audit.c.seq), func.max(audit.c.at))
    .where(audit.c.at > bindparam("since"))
    .group_by(audit.c.chain)
)
_HASH = Statement(select(audit.c.hash).where(audit.c.chain == bindparam("chain"), audit.c.seq == bindparam("seq")))
_LINES = Statement(select(setting.c.value).where(setting.c.name == bindparam("name")))
_FORGET = delete(setting).where(setting.c.name == bindparam("name_"))
