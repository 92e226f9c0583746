"""What is known of the members of some rows before anything of them is written, all of it read at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.directory import Provider
from fhir_server.ecm.rosters.assignment import Assignment, row_hash
from fhir_server.ecm.rosters.drafting import Drafted, Source
from fhir_server.ecm.rosters.identity import Refusal
from fhir_server.ecm.rosters.newborn_numbers import is_of_child
from fhir_server.engine import keys
from fhir_server.engine.context import Context, Transaction
from fhir_server.fhir.definitions import type_number
from fhir_server.store import members, resources
from fhir_server.store.hashing import rh
from fhir_server.store.members import Member
from fhir_server.store.resources import Row

Rows = Sequence[tuple[int, Assignment, Provider]]

PATIENT = type_number("Patient")


@dataclass
class Enrolment:
    """What a chunk changed. rosters: provider id -> Group id; touched: Groups that have something to publish.

    noted: what the sender should know of rows that were stored.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    moved: int = 0
    rosters: dict[str, str] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    refused: dict[int, Refusal] = field(default_factory=dict)
    noted: dict[int, Refusal] = field(default_factory=dict)


@dataclass
class Known:
    """What is known of the chunk's members before anything is written, and what will be written."""

    transaction: Transaction
    source: Source
    result: Enrolment
    ahead: Mapping[int, Drafted] = field(default_factory=dict)  # by row number
    groups: dict[str, Row] = field(default_factory=dict)  # by provider id
    rosters: dict[int, Row] = field(default_factory=dict)  # by hash, the former ones of these members among them
    patients: dict[str, str] = field(default_factory=dict)
    standing: dict[tuple[int, str], Member] = field(default_factory=dict)
    elsewhere: dict[int, list[Member]] = field(default_factory=dict)
    stored: dict[int, Row] = field(default_factory=dict)
    ended: list[Member] = field(default_factory=list)
    begun: list[Member] = field(default_factory=list)

    @property
    def plan(self) -> str:
        """Organization/id of the plan whose file it is."""
        return self.transaction.context.caller.org


def unknown(context: Context, rows: Rows) -> Rows:
    """Those of these rows whose members have no Patient of this plan under their number."""
    wanted = [cin_key(facts) for _, facts, _ in rows]
    held = keys.holders(context.connection, context.caller.org_hash, PATIENT, wanted)
    return [row for row, key in zip(rows, wanted, strict=True) if key not in held]


def look_up(chunk: Known, rows: Rows) -> list[tuple[int, Assignment, Provider, int]]:
    """Read once what the rows may meet: patients, roster rows, resources. The rows that differ, with their digests."""
    transaction = chunk.transaction
    connection, owner = transaction.connection, transaction.context.caller.org_hash
    names = {key for _, facts, _ in rows for key in (cin_key(facts), number_key(chunk, facts)) if key}
    chunk.patients = keys.preload(transaction, owner, PATIENT, names)
    cins = [facts.cin for _, facts, _ in rows]
    chunk.standing = members.in_groups(connection, [row.rh for row in chunk.groups.values()], cins)
    different = [(*row, digest) for row in rows if not _is_known(chunk, row[1], row[2], digest := row_hash(row[1]))]
    chunk.result.unchanged += len(rows) - len(different)
    fids = {fid for _, facts, *_ in different if (fid := patient_of(chunk, facts))}
    chunk.elsewhere = members.of_patients(connection, [rh(f"Patient/{fid}") for fid in fids])
    former = [row for found in chunk.elsewhere.values() for row in found]
    wanted = [f"Patient/{fid}" for fid in fids]
    wanted += [f"{type_}/{fid}" for row in former for type_, fid in _others(row)]
    hashes = {*map(rh, wanted), *(row.grp for row in former)}
    found = {row.rh: row for row in resources.by_hash(connection, transaction.context.visible_targets(), hashes)}
    chunk.rosters |= {row.grp: found[row.grp] for row in former if row.grp in found and row.grp not in chunk.rosters}
    chunk.stored = found
    return different


def patient_of(chunk: Known, facts: Assignment) -> str | None:
    """The Patient with this CIN, else the one with the plan's own number, whose CIN may have changed."""
    return chunk.patients.get(cin_key(facts)) or chunk.patients.get(number_key(chunk, facts))


def _others(row: Member) -> Iterable[tuple[str, str]]:
    return ("Coverage", row.coverage_fid), ("CareTeam", row.team_fid)


def _is_known(chunk: Known, facts: Assignment, provider: Provider, digest: int) -> bool:
    """Whether the roster says the same already, of a Patient that is still there."""
    standing = chunk.standing.get((chunk.groups[provider.id].rh, facts.cin))
    if standing is None or standing.change == "dropped" or standing.row_hash != digest:
        return False
    return chunk.patients.get(cin_key(facts)) == standing.patient_fid


def cin_key(facts: Assignment) -> str:
    """The member's number as a key of its plan's Patients: the CIN, or what stands for it of a newborn."""
    return f"{words.NEWBORN if is_of_child(facts.cin) else words.CIN}|{facts.cin}"


def number_key(chunk: Known, facts: Assignment) -> str:
    """The plan's own number for the member as such a key; empty if the row gives none."""
    return f"{words.member_id(chunk.plan.rpartition('/')[2])}|{facts.member_id}" if facts.member_id else ""
