"""A distribution into the tables: in chunks that are durable one by one, so that a load that was broken off goes on.

Concepts are numbered in the order of the distribution; then each is linked to all it stands under. What was read stands
in a file meanwhile: the memory holds codes and links, some hundred bytes a concept, and no terms.
"""

import csv
import tempfile
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import IO, Any, TypeVar

import orjson
from sqlalchemy import Connection

from fhir_server.store import concepts
from fhir_server.store.tables import concept, concept_above, concept_word
from fhir_server.store.concepts import LOADING, READY, REMOVING, System
from fhir_server.store.db import Database
from fhir_server.store.rows import Batch
from fhir_server.terminology.distribution import Distribution, Entry, Source
from fhir_server.terminology.words import words

CHUNK = 2_000

# Columns or fields that are not there, bytes that are no text, no CSV, no XML (a SyntaxError of lxml), a broken archive.
_UNREADABLE = (LookupError, UnicodeError, csv.Error, SyntaxError, zipfile.BadZipFile, zlib.error, EOFError)

T = TypeVar("T")

Report = Callable[[str, int, int], None]  # (what is being done, how far, of how many; 0: not known yet)


def load(
    database: Database, distribution: Distribution, source: Source, version: str, now_ms: int, report: Report
) -> System:
    """The version in the tables, ready for use; ValueError if this version was begun from another source.

    Loading the same again does nothing; other versions stay beside it. ValueError as well if the source cannot be read
    as this distribution: then nothing was begun.
    """
    digest = source.digest()
    known = _known(database, distribution, version, digest)
    if known and known.state == READY:
        return known
    with tempfile.TemporaryFile() as file:
        spool = _read(file, distribution, source, report)
        total = len(spool.numbers)
        system = known or database.write(
            lambda connection: concepts.begin(
                connection, distribution.url, version, distribution.title, digest, now_ms
            )
        )
        for start, chunk in _chunks(spool.entries(), system.done):
            database.write(_Concepts(system.id, start, chunk))
            report("concepts", start + len(chunk), total)
        parents = spool.parents()
    for start, links in _chunks(_links(parents), system.linked):
        database.write(_Links(system.id, start, links))
        report("hierarchy", start + len(links), total)
    database.write(lambda connection: concepts.progress(connection, system.id, state=READY, loaded=now_ms))
    return system._replace(state=READY, done=total, linked=total, loaded=now_ms)


def _known(database: Database, distribution: Distribution, version: str, digest: str) -> System | None:
    """What there is of this version; ValueError if it is of another source, or half removed."""
    rows = (row for row in concepts.systems(database.read()) if (row.url, row.version) == (distribution.url, version))
    found = next(rows, None)
    if found and found.state == REMOVING:
        raise ValueError(f"{distribution.title} {version} is half removed. Remove it first.")
    if found and found.source != digest:
        state = "is being loaded" if found.state == LOADING else "was loaded"
        raise ValueError(f"{distribution.title} {version} {state} from another file. Remove it first.")
    return found


def _read(file: IO[bytes], distribution: Distribution, source: Source, report: Report) -> "_Spool":
    name, wanted = source.path.name, f"Hand over {distribution.files}."
    try:
        spool = _Spool(file, distribution.read(source), report)
    except _UNREADABLE as error:
        raise ValueError(f"{name} cannot be read as {distribution.title}. {wanted}") from error
    except ValueError as error:
        raise ValueError(f"{error} {wanted}") from error
    if not spool.numbers:
        raise ValueError(f"{name} holds no concept of {distribution.title}. {wanted}")
    return spool


class _Spool:
    """The concepts of a distribution in a file, each code once; the codes alone are in memory, with their numbers."""

    def __init__(self, file: IO[bytes], entries: Iterable[Entry], report: Report) -> None:
        self._file = file
        self.numbers: dict[str, int] = {}
        for entry in entries:
            if entry.code and entry.code not in self.numbers:
                number = self.numbers[entry.code] = len(self.numbers)
                file.write(orjson.dumps(tuple(entry)) + b"\n")
                if number % CHUNK == 0:
                    report("reading", number, 0)

    def entries(self) -> Iterator[Entry]:
        """The concepts, in their order."""
        self._file.seek(0)
        return (Entry(*orjson.loads(line)) for line in self._file)

    def parents(self) -> "_Lists":
        """For each concept the numbers of those right above it."""
        found = _Lists(len(self.numbers))
        for number, entry in enumerate(self.entries()):
            found.put(number, [self.numbers[code] for code in entry.parents if code in self.numbers])
        return found


class _Lists:
    """Lists of whole numbers by place, four bytes a number: millions of links are too many for lists of their own."""

    def __init__(self, places: int) -> None:
        self._values = array("i")
        self._starts = array("q", [-1]) * places
        self._sizes = array("i", [0]) * places

    def __len__(self) -> int:
        return len(self._starts)

    def __contains__(self, place: int) -> bool:
        return self._starts[place] >= 0

    def __getitem__(self, place: int) -> Sequence[int]:
        start = self._starts[place]
        return self._values[start : start + self._sizes[place]]

    def put(self, place: int, numbers: Iterable[int]) -> None:
        """Keep the list of a place."""
        self._starts[place] = len(self._values)
        self._values.extend(numbers)
        self._sizes[place] = len(self._values) - self._starts[place]


def _chunks(items: Iterable[T], start: int) -> Iterator[tuple[int, list[T]]]:
    """(place of the first, items), CHUNK by CHUNK, from a place on."""
    walk = islice(items, start, None)
    while chunk := list(islice(walk, CHUNK)):
        yield start, chunk
        start += len(chunk)


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


def _links(parents: _Lists) -> Iterator[Sequence[int]]:
    """For each concept in its order: its own number and those of all it stands under."""
    known = _Lists(len(parents))
    for number in range(len(parents)):
        yield _closure(number, parents, known)


def _closure(number: int, parents: _Lists, known: _Lists) -> Sequence[int]:
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
            found = {one}.union(*(known[above] if above in known else (above,) for above in parents[one]))
            known.put(one, sorted(found))
            waiting.pop()
    return known[number]


def remove(database: Database, system: System, report: Report) -> None:
    """Take a version of a system out of the tables, chunk by chunk; broken off, it is no longer used and goes on."""
    database.write(lambda connection: concepts.progress(connection, system.id, state=REMOVING))
    for start in range(0, system.done, CHUNK):
        database.write(partial(concepts.clear, system=system.id, start=start, end=start + CHUNK))
        report("removing", min(start + CHUNK, system.done), system.done)
    database.write(lambda connection: concepts.remove(connection, system.id))
