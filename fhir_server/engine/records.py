"""Reading for files: unrendered rows, whole records of many patients, and what another organization may see of them.

A page of members costs a handful of statements, whatever its length; each read is audited before its rows go out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from fhir_server.access.caller import Caller
from fhir_server.access.predicate import Visible
from fhir_server.access.scopes import parse
from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.engine.law_classes import law_classes
from fhir_server.fhir.definitions import type_number
from fhir_server.fhir.errors import Gone, NotFound, Unseen
from fhir_server.store import records, resources
from fhir_server.store.hashing import rh
from fhir_server.store.records import NOW
from fhir_server.store.resources import Row

_EVERYTHING = parse("system/*.rs")
_PAGE = "100"
_REPORTING = "HOPERAT"  # who receives a report of its programme acts for operations


def find(context: Context, type_: str, fid: str, interaction: str) -> Row:
    """The current row as stored, not rendered; NotFound (absent or hidden) or Gone."""
    context.require("r", type_)
    row = resources.read(context.connection, context.visible("r"), type_, fid)
    if row is None:
        repository.note(context, interaction, 404, f"{type_}/{fid[:64]}")
        raise Unseen("There is no such resource.")
    if row.deleted:
        repository.note(context, interaction, 410, f"{type_}/{fid[:64]}")
        raise Gone(f"{type_}/{fid} was deleted.")
    return row


def search_all(context: Context, type_: str, *criteria: tuple[str, str]) -> Iterator[str]:
    """The logical id of everything that a search finds, page after page; each page is audited as a search."""
    query = context.engine.searcher.parse(type_, [*criteria, ("_count", _PAGE)])
    while True:
        page = repository.search(context, query)
        yield from (hit.fid for hit in page.hits)
        if not page.next_token:
            return
        query = repository.resume(context, page.next_token)


def version_at(context: Context, row: Row, as_of: int) -> Row:
    """The version of a visible resource that was current at `as_of`; NotFound if there was none."""
    found = records.by_hash(context.connection, context.visible("r"), [row.rh], as_of)
    if not found:
        raise NotFound("At that time there was no such resource.")
    return found[0]


def of_patients(context: Context, types: Sequence[str], patients: Iterable[int], as_of: int = NOW) -> list[Row]:
    """All that the caller may see of these types in these patients' records, as known at `as_of`."""
    numbers = [type_number(type_) for type_ in types]
    return records.of_patients(context.connection, context.visible("r"), numbers, patients, as_of)


def by_reference(context: Context, references: Iterable[str], as_of: int = NOW) -> dict[str, Mapping[str, Any]]:
    """Reference -> resource, for those that the caller may see, as known at `as_of`."""
    hashes = {rh(reference): reference for reference in references}
    rows = records.by_hash(context.connection, context.visible("r"), hashes, as_of)
    return {hashes[row.rh]: orjson.loads(row.body) for row in rows}


def receiver(context: Context, organization: str) -> Visible:
    """The view of an organization that will receive a report from this caller."""
    law_class = law_classes(context.connection).get(rh(organization), "non-hipaa")
    return Visible(Caller("", organization, rh(organization), law_class, _EVERYTHING, _REPORTING), context.now, "r")


def hidden(context: Context, view: Visible, rows: Iterable[Row]) -> set[int]:
    """The reference hashes of those rows that are not in this view."""
    return unseen(context, view, {row.rh for row in rows})


def unseen(context: Context, view: Visible, hashes: Iterable[int]) -> set[int]:
    """Those of these reference hashes that are not in this view."""
    wanted = set(hashes)
    return wanted - records.seen(context.connection, view, wanted)


def log(context: Context, interaction: str, rows: Iterable[tuple[str, str, int]], detail: str = "") -> None:
    """Audit that these resources, (type, id, patient) each, go out in a file; no audit, no data."""
    entities = [[type_, fid, 0, patient, 0] for type_, fid, patient in rows]
    context.engine.reads.append(context.event(interaction, 200, entities, detail[:256]))


def by_hashes(context: Context, hashes: Iterable[int], as_of: int = NOW) -> list[Row]:
    """The rows with these reference hashes that the caller may see, as known at `as_of`."""
    return records.by_hash(context.connection, context.visible("r"), hashes, as_of)


def seen(context: Context, hashes: Iterable[int]) -> set[int]:
    """Those of these reference hashes whose resource the caller may see."""
    return records.seen(context.connection, context.visible("r"), hashes)
