"""The facts that rules outside a search need: what access to a patient follows from, and what a writer stands in."""

from collections.abc import Collection
from typing import Final

from fhir_server.access.caller import Caller
from fhir_server.access.consequences import live_kinds
from fhir_server.access.merged import Links, joined
from fhir_server.access.relations import Directive, Inputs, Rel
from fhir_server.access.writes import Facts
from fhir_server.store import merges, rights
from fhir_server.store.db import Connection

_CHUNK: Final = 500


def facts(connection: Connection, caller: Caller, patient: int | None, task: int, now_ms: int) -> Facts:
    """What `writes.may_write` may ask about a row of this patient (and of this Task's hash), looked up on demand."""

    def kinds() -> frozenset[str]:
        if patient is None:
            return frozenset()
        return live_kinds(inputs(connection, [patient])[patient], caller.org_hash, now_ms)

    def party() -> bool:
        return rights.is_party(connection, task, caller.org_hash, now_ms)

    return Facts(kinds, party)


def inputs(connection: Connection, patients: Collection[int], links: Links | None = None) -> dict[int, Inputs]:
    """All that access to each of these patients is computed from: its owner, relations and directives.

    A relation's grantor is the owner of the resource that gave it; without such a resource it has none and no effect.
    Of a record that was merged into another, the other's relations are among them; `links`: the merges, where known.
    """
    links, wanted = merges.links(connection, patients) if links is None else links, set(patients)
    if not links:
        return _inputs(connection, wanted)
    found = _inputs(connection, {*wanted, *(patient for link in links for patient in link[:2])})
    return {patient: one for patient, one in joined(found, links).items() if patient in wanted}


def _inputs(connection: Connection, patients: Collection[int]) -> dict[int, Inputs]:
    found: dict[int, Inputs] = {}
    wanted = sorted(set(patients))
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        owners = rights.owners(connection, chunk)
        rels, directives = rights.relations(connection, chunk), rights.directives(connection, chunk)
        for patient in chunk:
            found[patient] = Inputs(
                patient,
                owners.get(patient),
                tuple(Rel(*row) for row in rels.get(patient, ())),
                tuple(Directive(*row) for row in directives.get(patient, ())),
            )
    return found
