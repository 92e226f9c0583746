"""The load generator counts what really came back, and the figures are the middle of their rounds."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace

import pytest

from bench import machine, world
from bench.figures import _figure
from bench.load import Load, Result, drive

ANSWERS = {b"/ok": b"200 OK", b"/gone": b"410 Gone"}


@pytest.fixture
def port() -> Iterator[int]:
    """A server that answers in two pieces, on connections that stay open."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=_accept, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]


def _accept(listener: socket.socket) -> None:
    while True:
        try:
            line, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(line,), daemon=True).start()


def _answer(line: socket.socket) -> None:
    with line:
        while asked := line.recv(65_536):
            status = ANSWERS[asked.split(b" ")[1]]
            line.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 8\r\n\r\nhalf")
            line.sendall(b"rest")


def test_answers_are_counted_once_they_are_whole(port: int) -> None:
    done = drive(Load(port, 3, 0.3, 0.05, [b"GET /ok HTTP/1.1\r\n\r\n"]))
    assert done.failed == 0
    assert done.rate > 50
    assert 0 < done.p50_ms <= done.p99_ms


def test_what_is_not_2xx_is_told(port: int) -> None:
    """A figure made of errors would be a fast one."""
    done = drive(Load(port, 2, 0.1, 0.0, [b"GET /ok HTTP/1.1\r\n\r\n", b"GET /gone HTTP/1.1\r\n\r\n"]))
    assert done.failed > 0
    assert done.first_failure.startswith("HTTP/1.1 410 Gone")


def test_a_request_is_whole() -> None:
    """As a server reads it: the body's length, the token, and no body where there is none."""
    sent = world.request("t", "POST", "Patient", b"{}")
    head, _, body = sent.partition(b"\r\n\r\n")
    assert body == b"{}"
    assert {b"POST /fhir/Patient HTTP/1.1", b"Content-Length: 2", b"Authorization: Bearer t"} <= set(
        head.split(b"\r\n")
    )
    assert world.request("t", "GET", "Patient").endswith(b"\r\n\r\n")


def test_the_middle_round_counts() -> None:
    """The ratio is the middle of the rounds' own ratios, not the ratio of the middles."""
    rounds = [(Result(rate, p50, p99, 0, "", 0.1), base) for rate, p50, p99, base in
              ((100.0, 1.0, 9.0, 400.0), (300.0, 3.0, 7.0, 300.0), (200.0, 2.0, 8.0, 100.0))]  # fmt: skip
    bench = SimpleNamespace(server=SimpleNamespace(database=SimpleNamespace(dialect="sqlite")))
    found = _figure(bench, "a figure", "requests/s", rounds)  # type: ignore[arg-type]
    assert (found.rate, found.baseline_rate, found.ratio) == (200.0, 300.0, 1.0)
    assert (found.p50_ms, found.p99_ms, found.engine) == (2.0, 8.0, "sqlite")


def test_the_machine_is_described() -> None:
    said = machine.describe()
    assert set(said) == {"machine", "python", "load"}
    assert "cores" in said["machine"]
