"""Chunks of a long file with their new members drafted ahead, by a second process, while the chunk before is stored."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from fhir_server.ecm.files.assignments.judging import Chunk
from fhir_server.ecm.rosters.drafting import Asked, Drafted, Source, packed, unpacked
from fhir_server.ecm.rosters.known import unknown
from fhir_server.engine.context import Engine
from fhir_server.engine.transaction import uncollected
from fhir_server.jobs.beside import Beside
from fhir_server.jobs.job import Run

log = structlog.get_logger()

LONG = 1000  # rows from which a second process is worth its start
_AHEAD = 3  # chunks that are read before they are stored
_FEW = 50  # new members of a chunk that need no help

Drafts = Mapping[int, Drafted]
_Coming = Future[bytes]


@dataclass
class Ahead:
    """Hands out chunks with the drafts of their new members; without drafts where the second process is not so far."""

    run: Run
    source: Source
    is_long: bool
    members: int = 0  # drafted so far
    _beside: Beside[Asked] | None = None

    def drafted(self, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, Drafts]]:
        """Each chunk with drafts by row number."""
        waiting: deque[tuple[Chunk, _Coming | None]] = deque()
        for chunk in chunks:
            waiting.append((chunk, self._ask(chunk)))
            if len(waiting) > _AHEAD:
                yield self._next(waiting)
        while waiting:
            yield self._next(waiting)

    def _next(self, waiting: deque[tuple[Chunk, _Coming | None]]) -> tuple[Chunk, Drafts]:
        chunk, coming = waiting.popleft()
        return chunk, self._taken(coming) if coming else {}

    def _ask(self, chunk: Chunk) -> _Coming | None:
        if not self.is_long:
            return None
        context = self.run.context()
        members = unknown(context, chunk.entries)
        if len(members) < _FEW:
            return None
        self._beside = self._beside or Beside(context.engine, packed)
        return self._beside.ask(Asked(context.caller, self.source, members))

    def _taken(self, coming: _Coming) -> Drafts:
        """The drafts, waited for if they are being made; a process that is still starting is not waited for."""
        if coming.cancel() or not (coming.done() or (self._beside and self._beside.has_answered)):
            return {}
        answer = coming.result()
        with uncollected():
            drafts = unpacked(answer)
        self.members += len(drafts)
        return drafts

    def close(self) -> None:
        """Let the second process end."""
        if self._beside:
            self._beside.close()
            log.info("drafted ahead", job=self.run.id, members=self.members)


@contextmanager
def ahead(run: Run, source: Source, rows: int) -> Iterator[Ahead]:
    """A file of so many rows, taken in with the help of a second process if it is long and there is a processor."""
    found = Ahead(run, source, rows >= LONG and _processors(run.engine) > 1)
    try:
        yield found
    finally:
        found.close()


def _processors(engine: Engine) -> int:
    return len(os.sched_getaffinity(0)) if engine.recipe else 1
