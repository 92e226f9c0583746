"""Who read which members while a file was in force: what the plan must know of access that should not have been."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from fhir_server.ecm.rosters import disclosures
from fhir_server.engine import disclosed
from fhir_server.engine.context import Context
from fhir_server.engine.disclosed import Disclosure
from fhir_server.fhir.values import instant
from fhir_server.store.hashing import rh
from fhir_server.store.members import Member

HEADER: Final = ("Organization", "Client", "CIN", "Patient", "First Read", "Last Read", "Times")


@dataclass
class _Seen:
    first: int
    last: int
    times: int = 1


def rows(context: Context, since: int, opened: Mapping[int, Member]) -> Iterator[tuple[str, ...]]:
    """One row per client and member that it was shown since then; `opened`: patient -> its roster row."""
    found: dict[tuple[str, str, int], _Seen] = {}
    for event in disclosed.since(context, since):
        for patient in _told(event, opened):
            key = (event.organization, event.client, patient)
            seen = found.setdefault(key, _Seen(event.at, event.at, 0))
            seen.last, seen.times = event.at, seen.times + 1
    ordered = sorted((organization, client, opened[patient].key, patient) for organization, client, patient in found)
    for organization, client, _, patient in ordered:
        member, seen = opened[patient], found[organization, client, patient]
        place = f"Patient/{member.patient_fid}"
        yield organization, client, member.key, place, instant(seen.first), instant(seen.last), str(seen.times)


def _told(event: Disclosure, opened: Mapping[int, Member]) -> Iterator[int]:
    """The members that an event was about; of a roster that was shown, those in the version that was."""
    if event.interaction != disclosures.INTERACTION:
        yield from event.patients & opened.keys()
        return
    _, fid, version, *_ = event.entities[0]
    group = rh(f"Group/{fid}")
    here = {
        patient for patient, row in opened.items() if row.grp == group and row.from_version <= version < row.to_version
    }
    if event.query.startswith("these "):
        yield from here & event.patients
    else:  # all, or all but these
        yield from here - event.patients
