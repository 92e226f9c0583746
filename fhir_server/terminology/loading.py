"""A distribution into the tables: in chunks that are durable one by one, so that a load that was broken off goes on.

Concepts are numbered in the order of the distribution; then each is linked to all it stands under.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection

from fhir_server.store import concepts
from fhir_server.store.tables import concept, concept_above, concept_word
from fhir_server.store.concepts import LOADING, READY, System
from fhir_server.store.db import Database
from fhir_server.store.rows import Batch
from fhir_server.terminology.distribution import Distribution, Entry, Source
from fhir_server.terminology.words import words

CHUNK = 2_000

Report = Callable[[str, int, int], None]  # (what is being done, how far, of how many)


def load(
    database: Database, distribution: Distribution, source: Source, version: str, now_ms: int, report: Report
) -> System:
    """The version in the tables, ready for use; ValueError if this version was begun from another source.

    Loading the same again does nothing; other versions stay beside it.
    """
    digest = source.digest()
    system = _begun(database, distribution, version, digest, now_ms)
    if system.state == READY:
        return system
    entries = list({entry.code: entry for entry in distribution.read(source) if entry.code}.values())
    if not entries:
        raise ValueError(f"{source.path.name} holds no concept of {distribution.title}.")
    for start in range(system.done, len(entries), CHUNK):
        database.write(_Concepts(system.id, start, entries[start : start + CHUNK]))
        report("concepts", min(start + CHUNK, len(entries)), len(entries))
    links = _links(entries)
    for start in range(0, len(entries), CHUNK):
        chunk = [next(links) for _ in range(min(CHUNK, len(entries) - start))]
        if start >= system.linked:
            database.write(_Links(system.id, start, chunk))
        report("hierarchy", start + len(chunk), len(entries))
    database.write(lambda connection: concepts.progress(connection, system.id, state=READY, loaded=now_ms))
    return system._replace(state=READY, done=len(entries), linked=len(entries), loaded=now_ms)


def _begun(database: Database, distribution: Distribution, version: str, digest: str, now_ms: int) -> System:
    def work(connection: Connection) -> System:
        for row in concepts.systems(connection):
            if (row.url, row.version) == (distribution.url, version):
                return row
        return concepts.begin(connection, distribution.url, version, distribution.title, digest, now_ms)

    found = database.write(work)
    if found.source != digest:
        state = "is being loaded" if found.state == LOADING else "was loaded"
        raise ValueError(f"{distribution.title} {version} {state} from another file. Remove it first.")
    return found


class _Concepts:
    """The transaction that stores one chunk of concepts with their words."""

    def __init__(self, system: int, start: int, entries: Sequence[Entry]) -> None:
        self._system, self._start, self._entries = system, start, entries

    def __call__(self, connection: Connection) -> None:
        batch = Batch()
        for number, entry in enumerate(self._entries, self._start):
            batch.add(concept, self._system, number, entry.code, entry.display, entry.active, _facts(entry))
            found = words(entry.code, entry.display, *entry.more)
            batch.extend(concept_word, [(self._system, word, number) for word in found])
        batch.flush(connection)
        concepts.progress(connection, self._system, done=self._start + len(self._entries))


class _Links:
    """The transaction that stores what one chunk of concepts stands under."""

    def __init__(self, system: int, start: int, chunk: Sequence[Sequence[int]]) -> None:
        self._system, self._start, self._chunk = system, start, chunk

    def __call__(self, connection: Connection) -> None:
        batch = Batch()
        for number, above in enumerate(self._chunk, self._start):
            batch.extend(concept_above, [(self._system, number, one) for one in above])
        batch.flush(connection)
        concepts.progress(connection, self._system, linked=self._start + len(self._chunk))


def _facts(entry: Entry) -> bytes:
    found: dict[str, Any] = {
        "definition": entry.definition,
        "parents": list(entry.parents),
        "designations": list(entry.designations),
        "properties": {name: list(values) for name, values in entry.properties.items()},
    }
    return orjson.dumps({name: content for name, content in found.items() if content})


def _links(entries: Sequence[Entry]) -> Iterator[Sequence[int]]:
    """For each concept in its order: its own number and those of all it stands under."""
    numbers = {entry.code: number for number, entry in enumerate(entries)}
    parents = [[numbers[code] for code in entry.parents if code in numbers] for entry in entries]
    known: dict[int, array[int]] = {}
    for number in range(len(entries)):
        yield _closure(number, parents, known)


def _closure(number: int, parents: Sequence[Sequence[int]], known: dict[int, "array[int]"]) -> Sequence[int]:
    """What was found for the parents is used again; a circle ends where it closes."""
    waiting, entered = [number], set()
    while waiting:
        one = waiting[-1]
        missing = [above for above in parents[one] if above not in known and above not in entered]
        if one in known:
            waiting.pop()
        elif missing and one not in entered:
            entered.add(one)
            waiting += missing
        else:
            entered.add(one)
            found = {one}.union(*(known.get(above, array("l", [above])) for above in parents[one]))
            known[one] = array("l", sorted(found))
            waiting.pop()
    return known[number]
