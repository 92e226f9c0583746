"""Search parameters added while the server runs: what the database says of them, followed by every process.

A setting holds them. All of them are indexed at once; those that are ready, because every resource has its rows, can be
searched by. A process looks whether they have changed before it serves a request, twice a second at most.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import DBAPIError

from fhir_server.fhir.definitions import Definitions, SearchParam
from fhir_server.fhir.errors import FHIRError
from fhir_server.search.extract import Extractor, parameters
from fhir_server.store.db import Database
from fhir_server.store.rows import Batch
from fhir_server.store.statements import Statement
from fhir_server.store.tables import param, setting

if TYPE_CHECKING:
    from fhir_server.engine.context import Engine

FOLLOWED_MS = 500  # from then on every process knows

_NAME = "search-parameters"
_TEXT = Statement(select(setting.c.value).where(setting.c.name == bindparam("name")))


@dataclass(frozen=True, slots=True)
class Added:
    """The parameters added, and the URLs of those that can be searched by."""

    params: tuple[SearchParam, ...] = ()
    ready: frozenset[str] = frozenset()

    @property
    def searchable(self) -> tuple[SearchParam, ...]:
        """Those of which every resource has its rows."""
        return tuple(one for one in self.params if one.url in self.ready)


def stored(connection: Connection) -> Added:
    """What the database says."""
    return _read(_text(connection))


def store(connection: Connection, added: Added) -> None:
    """Replace what the database says; with the transaction that this belongs to."""
    text = orjson.dumps({"params": [asdict(one) for one in added.params], "ready": sorted(added.ready)}).decode()
    if _text(connection):
        connection.execute(update(setting).where(setting.c.name == _NAME).values(value=text))
    else:
        connection.execute(insert(setting).values(name=_NAME, value=text))


def _text(connection: Connection) -> str:
    rows = _TEXT.rows(connection, {"name": _NAME})
    return str(rows[0][0]) if rows else ""


def _read(text: str) -> Added:
    if not text:
        return Added()
    kept = orjson.loads(text)
    return Added(tuple(_param(row) for row in kept["params"]), frozenset(kept["ready"]))


def _param(row: dict[str, Any]) -> SearchParam:
    listed = {name: tuple(row[name]) for name in ("targets", "types")}
    return SearchParam(**{**row, **listed, "components": tuple(map(tuple, row["components"]))})


class Follower:
    """Keeps one engine in line with what the database says."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._text, self._next, self._lock = engine, "", 0.0, Lock()

    def __call__(self, *, now: bool = False) -> None:
        """Look, unless that was done a moment ago."""
        moment = time.monotonic()
        if moment < self._next and not now:
            return
        self._next = moment + FOLLOWED_MS / 1000
        try:
            text = _text(self._engine.database.read())
        except (DBAPIError, FHIRError):
            return  # the request itself will say what is wrong with the database
        with self._lock:
            if text != self._text:
                _adopt(self._engine, _read(text))
                self._text = text


def _adopt(engine: Engine, added: Added) -> None:
    indexed, searched = (engine.definitions.extended(some) for some in (added.params, added.searchable))
    engine.params.update(interned(engine.database, indexed))
    engine.extractor = Extractor(indexed, engine.params, engine.settings.zone, engine.settings.base_url)
    engine.definitions = searched
    engine.searcher.define(searched)
    for name in ("capability", "reverse"):
        engine.memo.pop(name, None)


def interned(database: Database, definitions: Definitions) -> dict[tuple[str, str], int]:
    """The number of every search parameter, given once and kept in the database."""
    wanted = parameters(definitions)

    def work(connection: Connection) -> dict[tuple[str, str], int]:
        known = _known(connection)
        batch, number = Batch(), max(known.values(), default=0)
        for pair in _new(wanted, known):
            number += 1
            known[pair] = number
            batch.add(param, number, *pair)
        batch.flush(connection)
        return known

    known = _known(database.read())
    return database.write(work) if any(_new(wanted, known)) else known


def _known(connection: Connection) -> dict[tuple[str, str], int]:
    return {(row.type, row.code): row.id for row in connection.execute(select(param))}


def _new(wanted: Sequence[tuple[str, str]], known: dict[tuple[str, str], int]) -> Iterable[tuple[str, str]]:
    return [pair for pair in wanted if pair not in known]
