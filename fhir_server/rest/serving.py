"""The server process: its workers, how many requests they take, and how they end (P14, P16)."""

import logging
import os
from threading import Timer
from typing import Any

from granian import Granian
from granian.constants import Interfaces

from fhir_server.config import Settings
from fhir_server.rest.gate import WAITING
from fhir_server.rest.health import STOPPING

SPARE_THREADS = WAITING + 12  # for requests that wait, are refused, or must always get through
_NOTICE_SECONDS = 2.0  # readiness says no before the socket closes, so that a balancer looks elsewhere
_FINISH_SECONDS = 25


class Server(Granian):  # type: ignore[misc, valid-type]
    """Granian with a graceful end: SIGTERM is announced, then requests are finished; a second one changes nothing."""

    settings: Settings
    _ending = False

    def signal_handler_interrupt(self, *arguments: Any, **options: Any) -> None:
        """Say that the end is near, and end a moment later."""
        if self._ending:
            return
        self._ending = True
        (self.settings.folder / STOPPING).write_text(str(os.getpid()))
        ending = Timer(_NOTICE_SECONDS, super().signal_handler_interrupt, arguments, options)
        ending.daemon = True
        ending.start()


def serve(target: str, settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; workers that die are replaced."""
    # It warns of more threads than two per core; ours wait for the disk and for each other's commit, not for a core.
    logging.getLogger("_granian").addFilter(lambda record: "Python threads" not in record.getMessage())
    (settings.folder / STOPPING).unlink(missing_ok=True)
    server = Server(
        target,
        factory=True,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=settings.workers or (1 if settings.on_sqlite else 2),
        blocking_threads=settings.most_running + SPARE_THREADS,
        respawn_failed_workers=True,
        workers_kill_timeout=_FINISH_SECONDS,
        log_level="warning",
    )
    server.settings = settings
    server.serve()
