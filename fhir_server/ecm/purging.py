"""What the exchange keeps of a member beside the record, removed with it: parked rows, files taken in, letters to post.

Return files that a provider sent are the provider's word and stay (ADR 61, 65).
"""

from __future__ import annotations

import zipfile
from array import array
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.files.assignments import intake
from fhir_server.ecm.member import number_of
from fhir_server.ecm.rosters import identity
from fhir_server.ecm.rosters.assignment import load
from fhir_server.engine.changes import Purged
from fhir_server.engine.context import Context, Transaction
from fhir_server.fhir.errors import BusinessRule
from fhir_server.jobs import files, remains
from fhir_server.store import loads

_NUMBERS = frozenset({words.CIN, words.NEWBORN})
_LONGEST = 100  # bytes of an identifier or id that may stand across two pieces
_UNDECIDED = frozenset({loads.HELD, loads.CONFIRMED})


def forget(transaction: Transaction, gone: Purged) -> None:
    """on_purge: remove the member's parked rows, and the files that name the member; BusinessRule if one is held."""
    cins = {item["value"] for item in _identifiers(gone) if item.get("system") in _NUMBERS and item.get("value")}
    _forget_parked(transaction, gone, cins)
    _forget_files(transaction, gone, cins)


def _identifiers(gone: Purged) -> Iterator[Mapping[str, Any]]:
    return (item for version in gone.versions for item in version.get("identifier", ()))


def _forget_parked(transaction: Transaction, gone: Purged, cins: Collection[str]) -> None:
    """The rows with a number of the member; not those in which the number is the mother's, and the row a child's."""
    mine = [
        row
        for row in loads.parked_under(transaction.connection, gone.patient.owner, sorted(cins))
        if row.code != words.AMBIGUOUS_IDENTITY or any(identity.is_same(one, load(row.row)) for one in gone.versions)
    ]
    loads.unpark(transaction.connection, mine)


def _forget_files(transaction: Transaction, gone: Purged, cins: Collection[str]) -> None:
    connection, owner = transaction.connection, gone.patient.owner
    kept = remains.with_files(connection, intake.KIND, owner)
    taken_in = {one.id: one for one in loads.all_of(connection, owner)}
    texts = [one.encode() for one in (*cins, gone.patient.fid)]
    naming = set()
    for job_id, file_id, _ in kept:
        file = taken_in.get(job_id)
        if file and file.state in _UNDECIDED:
            if _says(transaction, file_id, texts):
                message = "A file that is held names this member. Confirm or withdraw it first."
                raise BusinessRule(message)
        elif (file and _names(transaction, job_id, cins)) or _says(transaction, file_id, texts):
            naming.add(job_id)
    remains.remove(connection, sorted(naming))


def _names(transaction: Transaction, load_id: str, cins: Collection[str]) -> bool:
    """Whether a file that was taken in has a row with one of these numbers."""
    wanted = {number_of(one) for one in cins}
    parts = loads.named(transaction.connection, load_id)
    return any(not wanted.isdisjoint((*array("Q", part.stored), *array("Q", part.others))) for part in parts)


def _says(transaction: Transaction, file_id: str, texts: Collection[bytes]) -> bool:
    """Whether a file holds one of these texts, in its bytes or in the parts of a workbook."""
    with files.local_copy(transaction.context.engine, file_id) as copy:
        if not zipfile.is_zipfile(copy):
            copy.seek(0)
            return _holds(copy, texts)
        with zipfile.ZipFile(copy) as book:
            return any(_holds(book.open(part), texts) for part in book.infolist())


def _holds(stream: IO[bytes], texts: Collection[bytes]) -> bool:
    before = b""
    while piece := stream.read(files.PIECE):
        if any(text in before + piece for text in texts):
            return True
        before = piece[-_LONGEST:]
    return False


def remove_letters(context: Context, gone: Purged) -> None:
    """after_purge: remove the notices that still wait in the folder for what goes by mail."""
    folder = context.engine.settings.notice_folder
    for fid in gone.ids if folder else ():
        for name in (f"{fid}.json", f".{fid}.json.part"):
            (Path(folder) / name).unlink(missing_ok=True)
