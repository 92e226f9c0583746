"""What a plan keeps of a provider's return file: an EpisodeOfCare per member, the state of its referral, their source.

A blank cell says nothing: what is known stays. A discontinuation is a recommendation until the plan has decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.facets import Resource, code_in, codes_in, extension, extensions
from fhir_server.ecm.files.facts import MemberFacts
from fhir_server.ecm.files.returns.gathering import Entry
from fhir_server.ecm.files.returns.judging import ecm_tasks, loop_status
from fhir_server.ecm.files.returns.referral import ECM
from fhir_server.ecm.referrals import loops
from fhir_server.ecm.rosters import mapping, verified
from fhir_server.ecm.rosters.drafting import Source
from fhir_server.engine import keys, writing
from fhir_server.engine.context import Transaction
from fhir_server.fhir.definitions import type_number
from fhir_server.store import resources
from fhir_server.store.hashing import rh
from fhir_server.store.ids import part_of
from fhir_server.store.members import Member
from fhir_server.store.resources import Row

Rows = Sequence[tuple[int, MemberFacts, Member]]

_EPISODE = "EpisodeOfCare"
_CONCEPT_MAP = v.concept_map("ecm-status-to-episode-of-care")


@dataclass(frozen=True)
class Contract:
    """Between whom a roster is: its number, and the provider's reference."""

    number: str
    provider: str


def record(transaction: Transaction, source: Source, contract: Contract, rows: Rows) -> int:
    """Write what these rows change; the number of rows that changed something."""
    context = transaction.context
    transaction.marks.add(loops.RETURNED)
    stored = _stored(transaction, contract, rows)
    tasks = ecm_tasks(context, contract.provider, [member for _, _, member in rows])
    patients = _patients(transaction, rows)
    changed = 0
    for number, facts, member in rows:
        key = _key(contract, facts.cin)
        written = _episode(transaction, contract, facts, member, stored.get(key))
        written += _contact(transaction, source, contract, facts, patients.get(member.patient))
        written += _loop(transaction, tasks.get(member.patient), facts)
        if written:
            origin = mapping.provenance(
                context.engine.ids.fid(part_of(member.patient_fid)), written, recorded=source.recorded,
                plan=contract.provider, file_hash=source.sha256, row=number,
            )  # fmt: skip
            writing.insert(transaction, writing.built(context, "Provenance", origin), origin["id"])
            changed += 1
    return changed


def _key(contract: Contract, cin: str) -> str:
    return f"{v.CONTRACT}|{contract.number}|{cin}"


def _stored(transaction: Transaction, contract: Contract, rows: Rows) -> dict[str, Row]:
    """Key -> the episode recorded by an earlier file."""
    owner = transaction.context.caller.org_hash
    wanted = [_key(contract, facts.cin) for _, facts, _ in rows]
    held = keys.preload(transaction, owner, type_number(_EPISODE), wanted)
    hashes = {rh(f"{_EPISODE}/{fid}"): key for key, fid in held.items()}
    found = resources.by_hash(transaction.connection, transaction.context.visible("u"), hashes)
    return {hashes[row.rh]: row for row in found}


def _episode(
    transaction: Transaction, contract: Contract, facts: MemberFacts, member: Member, before: Row | None
) -> list[str]:
    """The reference of the episode, if it was written."""
    old = orjson.loads(before.body) if before else {}
    new = _told(transaction, contract, facts, member, old)
    if new is None or (before and _content(old) == _content(new)):
        return []
    draft = writing.built(transaction.context, _EPISODE, new)
    if before:
        return [writing.change(transaction, before, draft).reference]
    made = writing.insert(transaction, draft)
    keys.hold(transaction, made.row, _key(contract, facts.cin))
    return [made.reference]


def _content(resource: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in {"id", "meta", "text"}}


def _told(
    transaction: Transaction, contract: Contract, facts: MemberFacts, member: Member, old: Resource
) -> dict[str, Any] | None:
    """The episode as this row tells it over what was known; None while no status was ever told."""
    known = code_in(extension(old, v.STATUS, "valueCoding"), v.STATUSES)
    status = facts.status or known
    if status is None:
        return None
    span = old.get("period", {})
    end = facts.benefit_end or (None if facts.status else span.get("end"))
    found = {
        "resourceType": _EPISODE,
        "extension": [
            *_populations(facts, old),
            {"url": v.STATUS, "valueCoding": {"system": v.STATUSES, "code": status}},
            *_discontinuation(facts, old),
        ],
        "identifier": [{"system": v.CONTRACT, "value": f"{contract.number}|{facts.cin}"}],
        "status": _state(transaction, status),
        "type": [{"coding": [{"system": v.SERVICES, "code": ECM}]}],
        "patient": {"reference": f"Patient/{member.patient_fid}"},
        "managingOrganization": {"reference": contract.provider},
        "period": mapping.period(facts.benefit_start or span.get("start"), end),
    }
    return {name: value for name, value in found.items() if value}


def _state(transaction: Transaction, status: str) -> str:
    """EpisodeOfCare.status of an ECM status, by the published ConceptMap."""
    return transaction.context.engine.terminology.translate(_CONCEPT_MAP, v.STATUSES, status)[0][1]


def _populations(facts: MemberFacts, old: Resource) -> list[dict[str, Any]]:
    given = [item.get("valueCodeableConcept") for item in extensions(old, v.POPULATION_OF_FOCUS)]
    codes = facts.populations or tuple(codes_in(given, v.POPULATIONS))
    return [
        {"url": v.POPULATION_OF_FOCUS, "valueCodeableConcept": {"coding": [{"system": v.POPULATIONS, "code": code}]}}
        for code in codes
    ]


def _discontinuation(facts: MemberFacts, old: Resource) -> list[Resource]:
    """What the plan decided stands; else what the provider recommends."""
    known = extensions(old, v.DISCONTINUATION)
    decided = any(extension(item, "decision", "valueCode") == "decided" for item in known)
    if decided or not (facts.discontinuation_date and facts.discontinuation_code):
        return list(known)
    reason = {"system": v.DISCONTINUATION_REASONS, "code": facts.discontinuation_code}
    parts = [
        {"url": "date", "valueDate": facts.discontinuation_date},
        {"url": "reason", "valueCoding": reason},
        {"url": "decision", "valueCode": "recommended"},
    ]
    return [{"url": v.DISCONTINUATION, "extension": parts}]


def _patients(transaction: Transaction, rows: Rows) -> dict[int, Row]:
    """The Patients of rows that have a new address or telephone."""
    wanted = [member.patient for _, facts, member in rows if facts.new_address or facts.new_phone]
    return {row.rh: row for row in resources.by_hash(transaction.connection, transaction.context.visible("u"), wanted)}


def _contact(
    transaction: Transaction, source: Source, contract: Contract, facts: MemberFacts, patient: Row | None
) -> list[str]:
    """The reference of the Patient, if the provider's new contact data was written."""
    if patient is None:
        return []
    day = facts.production_date or source.recorded[:10]
    told = verified.found_by(orjson.loads(patient.body), _found(facts), contract.provider, day)
    if told is None:
        return []
    return [writing.change(transaction, patient, writing.built(transaction.context, "Patient", told)).reference]


def _found(facts: MemberFacts) -> dict[str, Resource]:
    """The new address and telephone of a row, by the list of the Patient that they go to."""
    fresh: dict[str, Resource] = {}
    if facts.new_address and facts.address:
        place = {"city": facts.city, "state": facts.state, "postalCode": facts.zip}
        said = {name: value for name, value in place.items() if value}
        fresh["address"] = {"use": "home", "line": [facts.address], **said}
    if facts.new_phone and facts.phone:
        fresh["telecom"] = {"system": "phone", "value": facts.phone.replace("x", " x")}
    return fresh


def _loop(transaction: Transaction, task: Entry | None, facts: MemberFacts) -> list[str]:
    """The reference of the referral's Task, if its businessStatus was written."""
    status = loop_status(task, facts, transaction.context.engine.settings.zone)
    if task is None or status is None:
        return []
    draft = writing.built(transaction.context, "Task", {**task.resource, "businessStatus": status})
    return [writing.change(transaction, task.row, draft).reference]
