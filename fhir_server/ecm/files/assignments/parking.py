"""Rows that wait for a decision: their provider is not known yet, or it is not clear whom they are about.

A parked row is stored and lost by nothing: a later row for the member takes its place, a full file of its provider that
no longer names the member ends it, and once its provider is known it is taken in (`$resolve-parked`).
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.files.assignments.judging import Chunk, Reading
from fhir_server.ecm.member import number_of
from fhir_server.ecm.rosters.assignment import Assignment, dump, load, same_person
from fhir_server.ecm.rosters.identity import Refusal
from fhir_server.ecm.rosters.newborn_numbers import cin_of_mother
from fhir_server.engine.context import Transaction
from fhir_server.store import loads
from fhir_server.store.loads import Load, Parked
from fhir_server.store.resources import TENANT

_WAITS = frozenset({words.UNKNOWN_PROVIDER, words.AMBIGUOUS_PROVIDER, words.AMBIGUOUS_IDENTITY})


def park(transaction: Transaction, load_id: str, chunk: Chunk, refused: Mapping[int, Refusal]) -> None:
    """Let the chunk's undecided rows wait, those that the store could not tell among them; others are settled by it."""
    context = transaction.context
    undecided = [(row.number, row.facts, row.code) for row in chunk.waiting]
    undecided += [
        (entry.number, entry.facts, refused[entry.number][1])
        for entry in chunk.entries
        if entry.number in refused and refused[entry.number][1] in _WAITS
    ]
    rows = [
        Parked(
            TENANT, load_id, number, context.caller.org_hash, loads.WAITING, facts.cin, code, context.now, dump(facts)
        )
        for number, facts, code in undecided
    ]
    loads.park(transaction.connection, transaction.batch, rows)
    _replace(transaction, load_id, chunk, refused)


def _replace(transaction: Transaction, load_id: str, chunk: Chunk, refused: Mapping[int, Refusal]) -> None:
    """What waited from earlier files for these members is replaced by what this file says of them."""
    waiting = loads.waiting(transaction.connection, transaction.context.caller.org_hash)
    if not waiting:
        return
    said: dict[str, list[Assignment]] = {}
    stored = [entry.facts for entry in chunk.entries if entry.number not in refused]
    for facts in (*stored, *(row.facts for row in chunk.waiting)):
        said.setdefault(cin_of_mother(facts.cin), []).append(facts)
    old = [row for row in waiting if row.load != load_id and _is_answered(row, said.get(row.key, ()))]
    loads.settle(transaction.connection, old, loads.REPLACED)


def _is_answered(row: Parked, said: Sequence[Assignment]) -> bool:
    """Whether later rows speak for the one that waits: of two persons with one number, each speaks for itself."""
    if not said or row.code != words.AMBIGUOUS_IDENTITY:
        return bool(said)
    waiting = load(row.row)
    return any(same_person(waiting, facts) for facts in said)


def close_absent(transaction: Transaction, reading: Reading, covered: set[str]) -> None:
    """A full file ends the waiting of rows that it no longer has, where their provider is one of its own."""
    waiting = loads.waiting(transaction.connection, transaction.context.caller.org_hash)
    absent = [row for row in waiting if not reading.scan.names(row.key)]
    found = {row: load(row.row).provider_npi for row in absent}
    reading.learn(transaction.context, set(found.values()))
    gone = [row for row, npi in found.items() if (provider := reading.providers[npi]) and provider.id in covered]
    loads.settle(transaction.connection, gone, loads.WITHDRAWN)


def refuse(transaction: Transaction, rows: Sequence[Parked], refused: Mapping[int, Refusal]) -> None:
    """Rows that the store could not take in go on waiting, for the reason it gives."""
    again = [row._replace(code=refused[row.number][1]) for row in rows]
    loads.park(transaction.connection, transaction.batch, again)


def recall(transaction: Transaction, file: Load) -> None:
    """The rows of a recalled file wait no more; what it had replaced waits again unless another file did so too."""
    connection = transaction.connection
    own = loads.parked_of(connection, file.id)
    loads.settle(connection, [row for row in own if row.state == loads.WAITING], loads.WITHDRAWN)
    said = set[int]()
    for part in loads.named(connection, file.id):
        said.update(array("Q", part.stored), array("Q", part.others))
    replaced = [row for row in loads.replaced(connection, file.owner) if number_of(row.key) in said]
    elsewhere = set[int]()
    for other in loads.in_force(connection, file.owner) if replaced else ():
        for part in loads.named(connection, other.id):
            numbers = {*array("Q", part.stored), *array("Q", part.others)}
            elsewhere |= {row.number for row in replaced if row.load != other.id and number_of(row.key) in numbers}
    loads.settle(connection, [row for row in replaced if row.number not in elsewhere], loads.WAITING)
