"""Parked rows looked at again: those whose provider is known by now are taken in, the others go on waiting.

What is taken in belongs to the file that the row came with, and is undone with it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import orjson

from fhir_server.ecm.directory import AMBIGUOUS, Provider, providers_by_npi
from fhir_server.ecm.files.assignments import importing, parking
from fhir_server.ecm.files.assignments.judging import CHUNK, Entry
from fhir_server.ecm.member import number_of
from fhir_server.ecm.rosters import publishing
from fhir_server.ecm.rosters.assignment import load
from fhir_server.ecm.rosters.drafting import Source
from fhir_server.ecm.rosters.enrolling import enrol
from fhir_server.engine.context import Transaction
from fhir_server.jobs.job import Run
from fhir_server.store import loads
from fhir_server.store.loads import Named, Parked
from fhir_server.store.resources import TENANT

_RESOLVED = 2**30  # whom rows name that were taken in later, is kept behind the file's own rows


def resolve(run: Run) -> None:
    """Take in what can be taken in, a few rows of one file at a time, each durable with the job's count."""
    context = run.context()
    waiting = loads.waiting(context.connection, context.caller.org_hash)
    providers = providers_by_npi(context, {load(row.row).provider_npi for row in waiting})
    taken = int(run.cursor.get("taken", 0))
    for rows in _by_file([row for row in waiting if _provider(row, providers)]):
        taken = context.transact(partial(_take_in, run, rows, providers, taken))
    left = loads.waiting(context.connection, context.caller.org_hash)
    summary = {"taken-in": taken, "waiting": len(left)}
    context.transact(lambda transaction: run.finish(transaction, {"summary": summary, "output": []}))


def note_taken_in(transaction: Transaction, load_id: str, rows: Sequence[Parked], entries: Sequence[Entry]) -> None:
    """These rows of a file wait no more; whom they name belongs to what the file says."""
    loads.settle(transaction.connection, rows, loads.TAKEN_IN)
    if rows:
        named = array("Q", (number_of(entry.facts.cin) for entry in entries)).tobytes()
        noted = Named(TENANT, load_id, _RESOLVED + rows[0].number, named, b"")
        loads.note(transaction.connection, transaction.batch, noted)


def _provider(row: Parked, providers: Mapping[str, Provider]) -> Provider | None:
    found = providers.get(load(row.row).provider_npi)
    return None if found is AMBIGUOUS else found


def _by_file(rows: Sequence[Parked]) -> Iterator[list[Parked]]:
    for _, found in groupby(sorted(rows, key=lambda row: (row.load, row.number)), key=lambda row: row.load):
        mine = list(found)
        for start in range(0, len(mine), CHUNK):
            yield mine[start : start + CHUNK]


def _take_in(
    run: Run, rows: Sequence[Parked], providers: Mapping[str, Provider], before: int, transaction: Transaction
) -> int:
    """Store the rows of one file that wait; the number of rows stored by now."""
    connection, owner = transaction.connection, rows[0].owner
    still = {(row.load, row.number) for row in loads.waiting(connection, owner)}
    file = loads.find(connection, owner, rows[0].load)
    entries = []
    for row in rows:
        provider = _provider(row, providers)
        if provider and (row.load, row.number) in still:
            entries.append(Entry(row.number, load(row.row), provider))
    if not entries or file is None:
        return before
    arguments: dict[str, Any] = orjson.loads(file.arguments)
    done = enrol(transaction, Source(arguments["sha256"], arguments["recorded"]), entries, {})
    stored = {entry.number: entry for entry in entries if entry.number not in done.refused}
    parking.refuse(transaction, [row for row in rows if row.number in done.refused], done.refused)
    note_taken_in(transaction, file.id, [row for row in rows if row.number in stored], list(stored.values()))
    published = {fid: publishing.publish(transaction, fid) for fid in sorted(done.touched)}
    importing.stand(transaction, file.id, done.rosters, published)
    transaction.audit("import", 200, transaction.changes)
    taken = before + len(stored)
    run.save(transaction, {"taken": taken}, f"{taken} rows taken in")
    return taken
