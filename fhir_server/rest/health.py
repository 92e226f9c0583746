"""Liveness and readiness: whether the process answers, and whether it can do its work (P19).

`/health/live` asks nothing. `/health/ready` stores something, looks at the schema, the disk, the clock and the audit
trail, at most twice a second whatever the number of those who ask; it says which of them fails, and no more.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from time import monotonic

import orjson

from fhir_server.engine.context import Engine
from fhir_server.rest.message import Response

LIVE, READY = "/health/live", "/health/ready"
STOPPING = "stopping"  # this file in the data folder names the process that is about to stop its workers

_LEAST_FREE = 0.05
_BACKWARDS_MS = 5_000
_BUILT_MS = 1_795_305_600_000  # 2026-11-22: no clock that is right says less

Probe = Callable[[], bool]


class Health:
    """What the process knows of itself; probes are run when somebody asks and the last answer is old."""

    fresh_seconds = 0.5

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seen_ms = 0
        self._probes: dict[str, Probe] = {
            "stopping": lambda: not _is_stopping(engine.settings.folder),
            "database": self._stores,
            "schema": engine.database.is_current,
            "disk": lambda: _is_roomy(engine.settings.folder),
            "clock": self._is_clock_sane,
            "audit": engine.reads.is_writable,
        }
        self._lock = Lock()
        self._at = -1.0
        self._last: dict[str, bool] = {}

    def answer(self, path: str) -> Response:
        """200 or 503 with the state of each check."""
        found = {} if path == LIVE else self._checks()
        good = all(found.values())
        checks = {name: "pass" if state else "fail" for name, state in found.items()}
        body = orjson.dumps({"status": "pass" if good else "fail", **({"checks": checks} if checks else {})})
        headers = {"Content-Type": "application/health+json", **({} if good else {"Retry-After": "1"})}
        return Response(200 if good else 503, body, headers)

    def _checks(self) -> dict[str, bool]:
        with self._lock:
            if monotonic() - self._at > self.fresh_seconds:
                self._last = {name: _holds(probe) for name, probe in self._probes.items()}
                self._at = monotonic()
            return self._last

    def _stores(self) -> bool:
        return bool(self._engine.database.write(self._engine.database.touch))

    def _is_clock_sane(self) -> bool:
        now, before = self._engine.clock(), self._seen_ms
        self._seen_ms = now
        return now >= max(_BUILT_MS, before - _BACKWARDS_MS)


def _holds(probe: Probe) -> bool:
    try:
        return probe()
    except Exception:  # noqa: BLE001 - whatever it is, the answer is no
        return False


def _is_roomy(folder: Path) -> bool:
    usage = shutil.disk_usage(folder)
    return usage.free > usage.total * _LEAST_FREE


def _is_stopping(folder: Path) -> bool:
    try:
        return (folder / STOPPING).read_text() in {str(os.getppid()), str(os.getpid())}
    except FileNotFoundError:
        return False
