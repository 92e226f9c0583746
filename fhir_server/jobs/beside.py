"""A process beside this one: it does one thing again and again, with what is sent to it, while this one goes on.

A file with many rows is more than one processor's work, and Python uses one at a time.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

import structlog

from fhir_server.engine.context import Engine

Asked = TypeVar("Asked")
log = structlog.get_logger()

_PATIENCE_SECONDS = 60.0


class Beside(Generic[Asked]):
    """Does `work` with an engine of its own; `work` and what it takes can be pickled, what it returns is bytes.

    Bytes, because whoever reads them knows the cheapest way to write them, and many small objects that wait would be
    walked by every garbage collection. The process ends with this one, however this one ends: then the line between
    them is cut. It is started anew and not forked, because threads of this one may hold locks.
    """

    def __init__(self, engine: Engine, work: Callable[[Engine, Asked], bytes]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._line = Connection(ours.detach())
        self._sender = ThreadPoolExecutor(1, "beside")
        self._sender.submit(self._line.send, (engine.recipe, engine.settings, work))
        self.has_answered = False

    def ask(self, asked: Asked) -> Future[bytes]:
        """The answer to come; empty if the work failed or the process is gone. One after another, in this order."""
        return self._sender.submit(self._exchange, asked)

    def close(self) -> None:
        """Let the process end; what was not answered yet never will be."""
        if not self.has_answered:  # it is still starting
            self._process.kill()
        self._sender.shutdown(cancel_futures=True)
        self._line.close()
        self._process.wait()

    def _exchange(self, asked: Asked) -> bytes:
        try:
            self._line.send(asked)
            if not self._line.poll(_PATIENCE_SECONDS):
                self._process.kill()
            answer = self._line.recv_bytes()
        except (OSError, EOFError):
            return b""
        self.has_answered = True
        return answer


def _serve(line: Connection) -> None:
    """Answer until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal tells every process; the first one decides
    recipe, settings, work = line.recv()
    engine = recipe(settings)
    try:
        while True:
            line.send_bytes(_done(work, engine, line.recv()))
    except (EOFError, OSError):
        return
    finally:
        engine.close()


def _done(work: Callable[[Engine, Any], bytes], engine: Engine, asked: Any) -> bytes:
    try:
        return work(engine, asked)
    except Exception:
        log.exception("work beside failed")
        return b""


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
