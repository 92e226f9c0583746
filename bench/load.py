"""The load generator, a process of its own: keep-alive connections that send prepared requests, one after the other.

It reads a pickled `Load` from its standard input and prints a JSON line. One thread with epoll: its own share of a
processor is reported with each result, so that a reader sees whether it, and not the server, was the limit.
"""

import itertools
import json
import pickle
import re
import select
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: *(\d+)")
_PIECE = 1 << 20
_GRACE_SECONDS = 30.0


@dataclass(frozen=True)
class Load:
    """Requests to send in turn over a number of connections, after a warm-up, for some seconds."""

    port: int
    connections: int
    seconds: float
    warm_up: float
    requests: Sequence[bytes]


@dataclass(frozen=True)
class Result:
    """Answers per second, latencies in milliseconds, answers other than 2xx, and the generator's own load."""

    rate: float
    p50_ms: float
    p99_ms: float
    failed: int
    first_failure: str
    generator_share: float


class _Line:
    """One connection: what it has received of the answer it waits for."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_GRACE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.held = b""
        self.sent = 0.0

    def send(self, request: bytes) -> None:
        self.held = b""
        self.sent = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """The whole answer, or None while some of it is missing."""
        piece = self.socket.recv(_PIECE)
        if not piece:
            message = "the server closed the connection"
            raise ConnectionError(message)
        self.held = self.held + piece if self.held else piece
        head = self.held.find(b"\r\n\r\n")
        if head < 0:
            return None
        length = _LENGTH.search(self.held, 0, head)
        wanted = head + 4 + (int(length[1]) if length else 0)
        return self.held if len(self.held) >= wanted else None


def drive(load: Load) -> Result:
    """Send until the time is over and wait for the answers under way; only answers within the time count."""
    lines = {line.socket.fileno(): line for line in (_Line(load.port) for _ in range(load.connections))}
    poll, turn = select.epoll(), itertools.cycle(load.requests)
    for number, line in lines.items():
        poll.register(number, select.EPOLLIN)
        line.send(next(turn))
    begin = time.perf_counter() + load.warm_up
    end, waiting = begin + load.seconds, len(lines)
    taken: list[float] = []
    failed, first, cpu = 0, "", 0.0
    while waiting:
        for number, _ in poll.poll(_GRACE_SECONDS):
            line = lines[number]
            answer = line.receive()
            if answer is None:
                continue
            now = time.perf_counter()
            if not answer.startswith(b"HTTP/1.1 2"):
                failed, first = failed + 1, first or answer[:600].decode(errors="replace")
            if begin <= now <= end:
                cpu = cpu or time.process_time()
                taken.append(now - line.sent)
            if now < end:
                line.send(next(turn))
            else:
                waiting -= 1
                poll.unregister(number)
                line.socket.close()
    poll.close()
    share = (time.process_time() - cpu) / load.seconds if cpu else 0.0
    return _result(load, taken, failed, first, share)


def _result(load: Load, taken: list[float], failed: int, first: str, share: float) -> Result:
    taken.sort()
    at = [taken[int(len(taken) * part)] * 1000 if taken else 0.0 for part in (0.5, 0.99)]
    return Result(len(taken) / load.seconds, at[0], at[1], failed, first, share)


if __name__ == "__main__":
    print(json.dumps(vars(drive(pickle.load(sys.stdin.buffer)))))  # noqa: S301 - from our own parent process
