"""The baseline of writes, a process of its own: captured rows written again by bare SQL, durable, by some threads.

It uses the store's connections, group commit and inserts, and nothing else of the server. It reads a pickled `Bare`
from its standard input and prints a JSON line. New identities are made before the clock starts.
"""

import gc
import json
import pickle
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from bench.rows import INDEX, NODE, Renewal, Rows
from fhir_server.config import Settings
from fhir_server.engine.build import _packages, clock
from fhir_server.engine.index_rows import LISTS
from fhir_server.fhir.definitions import load, type_names
from fhir_server.search.extract import Extractor
from fhir_server.store import tables
from fhir_server.store.db import Database, open_database
from fhir_server.store.ids import Ids
from fhir_server.store.rows import Batch


@dataclass(frozen=True)
class Bare:
    """Sets of rows, each one transaction; `times` transactions at most, within `seconds`.

    `extract`: posting lists are made by the generated extractor from parsed resources instead of being taken over.
    """

    url: str
    sets: Sequence[Mapping[str, list[tuple[Any, ...]]]]
    threads: int
    seconds: float
    times: int
    seed: int
    extract: Mapping[tuple[str, str], int] = field(default_factory=dict)


Parsed = list[tuple[int, int, str, dict[str, Any]]]  # part, rid, type, resource


def run(plan: Bare) -> dict[str, float]:
    """Transactions per second and their latencies."""
    database = open_database(plan.url)
    ids, spread = Ids(clock, NODE), random.Random(plan.seed)  # noqa: S311 - spreads hashes, guards nothing
    renewals = [Renewal({_table(name): rows for name, rows in each.items()}, ids, spread) for each in plan.sets]
    extractor = _extractor(plan) if plan.extract else None
    waiting = deque(_prepared(each.next(), extractor) for each in islice(cycle(renewals), plan.times))
    taken: list[float] = []
    failures: list[Exception] = []
    barrier = threading.Barrier(plan.threads + 1)
    gc.collect()
    gc.freeze()
    until = time.perf_counter() + 1e9

    def work() -> None:
        database.read()
        barrier.wait()
        while waiting and time.perf_counter() < until:
            try:
                rows, parsed = waiting.popleft()
            except IndexError:
                return
            began = time.perf_counter()
            try:
                _write(database, rows, parsed, extractor)
            except Exception as error:  # noqa: BLE001 - a baseline that failed in part is none
                failures.append(error)
                return
            taken.append(time.perf_counter() - began)

    threads = [threading.Thread(target=work) for _ in range(plan.threads)]
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    until = began + plan.seconds
    barrier.wait()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - began
    if failures:
        raise failures[0]
    database.close()
    taken.sort()
    return {"rate": len(taken) / elapsed, "p50_ms": taken[len(taken) // 2] * 1000, "count": len(taken)}


def _write(database: Database, rows: Rows, parsed: Parsed, extractor: Extractor | None) -> None:
    index: dict[Any, list[tuple[Any, ...]]] = {table: [] for table in LISTS}
    for part, rid, type_, resource in parsed:
        lists: tuple[Any, ...] = extractor.rows(type_, resource) if extractor else ()
        for table, values in zip(LISTS, lists, strict=False):  # the words behind the lists are no posting list
            index[table] += [(1, part, value[0], rid, *value[1:]) for value in values]

    def once(connection: Any) -> None:
        batch = Batch()
        for table, each in (*rows.items(), *index.items()):
            batch.extend(table, each)
        batch.flush(connection)

    database.write(once)


def _prepared(rows: Rows, extractor: Extractor | None) -> tuple[Rows, Parsed]:
    if extractor is None:
        return rows, []
    names = tables.res.c.keys()
    parsed: Parsed = []
    for row in rows.get(tables.res, []):
        known = dict(zip(names, row, strict=True))
        parsed.append((known["part"], known["rid"], type_names()[known["type"]], orjson.loads(known["body"])))
    return {table: each for table, each in rows.items() if table not in INDEX}, parsed


def _table(name: str) -> Any:
    return tables.metadata.tables[name]


def _extractor(plan: Bare) -> Extractor:
    return Extractor(load(_packages(Settings())), dict(plan.extract), ZoneInfo("America/Los_Angeles"), "")


if __name__ == "__main__":
    print(json.dumps(run(pickle.load(sys.stdin.buffer))))  # noqa: S301 - from our own parent process
