"""A newborn under the mother's number: a record of its own from the first day, never mixed with the mother's.

A row that gives the mother's CIN to a child is parked. The plan decides that it is a newborn; from then on the child's
rows are known by CIN, day of birth and first name, until it is sent with a CIN of its own. A RelatedPerson says who the
mother is.  https://hl7.org/fhir/R4/patient.html#maternity
"""

from __future__ import annotations

from typing import Any, Final

import orjson
from msgspec.structs import replace

from fhir_server.ecm import member, merging
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.directory import AMBIGUOUS, Provider, providers_by_npi
from fhir_server.ecm.files.assignments import importing
from fhir_server.ecm.files.assignments.judging import Entry
from fhir_server.ecm.files.assignments.resolving import note_taken_in
from fhir_server.ecm.persons import birthday
from fhir_server.ecm.rosters import publishing
from fhir_server.ecm.rosters.assignment import Assignment, load
from fhir_server.ecm.rosters.drafting import Source
from fhir_server.ecm.rosters.enrolling import enrol
from fhir_server.ecm.rosters.newborn_numbers import number_of_child
from fhir_server.engine import keys, writing
from fhir_server.engine.context import Context, Transaction
from fhir_server.fhir import wire
from fhir_server.fhir.definitions import type_number
from fhir_server.fhir.errors import BadValue, BusinessRule, NotFound
from fhir_server.store import loads, resources
from fhir_server.store.loads import Load, Parked
from fhir_server.store.resources import Row

NEWBORN, WITHDRAW = "newborn", "withdraw"
_YOUNGEST_MOTHER: Final = 10  # years between the two, below which a mistake is likelier


def waiting(transaction: Transaction, job: str, number: int) -> Parked:
    """The caller's parked row; NotFound if there is none."""
    owner = transaction.context.caller.org_hash
    rows = [row for row in loads.waiting(transaction.connection, owner) if (row.load, row.number) == (job, number)]
    if not rows:
        raise NotFound("No row of this job and number waits for a decision of yours.")
    return rows[0]


def withdraw(transaction: Transaction, row: Parked) -> None:
    """The row is not to be taken in: its waiting ends."""
    loads.settle(transaction.connection, [row], loads.WITHDRAWN)
    transaction.audit("parked-withdrawn", 200, [])


def take_in(transaction: Transaction, row: Parked, own_cin: str) -> str:
    """Give the child a record, an assignment and a mother; Patient/id.

    own_cin: the child's CIN if it has one, else "". BusinessRule if the row cannot be that of a child of the member
    with its CIN, or cannot be stored.
    """
    if row.code != words.AMBIGUOUS_IDENTITY:
        raise BusinessRule("This row waits for something else: it is taken in by $resolve-parked.", "decision")
    said = load(row.row)
    mother = _mother(transaction, said)
    facts = _facts(transaction, said, own_cin)
    file = loads.find(transaction.connection, row.owner, row.load)
    if file is None:
        raise NotFound("The file of this row is not known any more.")
    child = _stored(transaction, file, Entry(row.number, facts, _provider(transaction.context, facts)), row)
    _relate(transaction, child, mother)
    transaction.audit("parked-newborn", 200, transaction.changes)
    return child


def _mother(transaction: Transaction, said: Assignment) -> Row:
    owner, key = transaction.context.caller.org_hash, f"{words.CIN}|{said.cin}"
    held = keys.preload(transaction, owner, type_number("Patient"), [key])
    visible = transaction.context.visible("u")
    row = resources.read(transaction.connection, visible, "Patient", held[key]) if key in held else None
    if row is None or row.deleted:
        raise BusinessRule("You have no member with this CIN: send the mother's row first.")
    born = str(wire.parse(row.body).get("birthDate", ""))
    if said.birth_date < birthday(born, _YOUNGEST_MOTHER):
        raise BusinessRule("This cannot be a child of the member with this CIN, by the days of birth. Correct the row.")
    return row


def _facts(transaction: Transaction, said: Assignment, own_cin: str) -> Assignment:
    """The row under the child's own number, without the plan member number if that is somebody else's."""
    facts = replace(said, cin=_cin(own_cin) if own_cin else number_of_child(said))
    owner, system = transaction.context.caller.org_hash, words.member_id(transaction.context.caller.org[13:])
    key = f"{system}|{said.member_id}"
    if said.member_id and key in keys.preload(transaction, owner, type_number("Patient"), [key]):
        facts = replace(facts, member_id=None)
    return facts


def _cin(text: str) -> str:
    try:
        return str(member.cin(text))
    except member.Unreadable as error:
        raise BadValue("number is not a CIN.", "number") from error


def _provider(context: Context, facts: Assignment) -> Provider:
    found = providers_by_npi(context, [facts.provider_npi]).get(facts.provider_npi)
    if found is None or found is AMBIGUOUS:
        raise BusinessRule("The provider of this row is not known yet. Have it registered first.")
    return found


def _stored(transaction: Transaction, file: Load, entry: Entry, row: Parked) -> str:
    arguments: dict[str, Any] = orjson.loads(file.arguments)
    done = enrol(transaction, Source(arguments["sha256"], arguments["recorded"]), [entry], {})
    if entry.number in done.refused:
        raise BusinessRule(done.refused[entry.number][2])
    note_taken_in(transaction, file.id, [row], [entry])
    published = {fid: publishing.publish(transaction, fid) for fid in sorted(done.touched)}
    importing.stand(transaction, file.id, done.rosters, published)
    made = next(one for one in transaction.changes if one.type == "Patient")
    return made.reference


def _relate(transaction: Transaction, child: str, mother: Row) -> None:
    """The mother as the child's RelatedPerson, and the mother's own record linked with that."""
    patient = wire.parse(mother.body)
    role = {"coding": [{"system": words.ROLES, "code": "MTH"}]}
    first = patient["name"][0]
    person = {
        "resourceType": "RelatedPerson",
        "active": True,
        "patient": {"reference": child},
        "relationship": [role],
        "name": [{name: first[name] for name in ("use", "family", "given") if name in first}],
    }
    made = writing.insert(transaction, writing.built(transaction.context, "RelatedPerson", person))
    link = {"other": {"reference": made.reference}, "type": "seealso"}
    merging.write(transaction, mother, {**patient, "link": [*patient.get("link", []), link]})
