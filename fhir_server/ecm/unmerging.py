"""The end of a merge: both Patients are what they were, with what was written of them meanwhile left where it is.

The source is back in the rosters in which the plan's files that are in force put it, however they followed each other
while it was away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from fhir_server.ecm import merging
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.merging import MERGING, REPLACED_BY, REPLACES, Named, Outcome
from fhir_server.ecm.rosters import groups, mapping, publishing, teams
from fhir_server.ecm.rosters.assignment import load
from fhir_server.ecm.rosters.replaying import Replay
from fhir_server.engine import roster_rows
from fhir_server.engine.context import Transaction
from fhir_server.fhir import wire
from fhir_server.fhir.errors import BusinessRule
from fhir_server.store import members, merges, resources
from fhir_server.store.hashing import rh
from fhir_server.store.members import LAST, Member
from fhir_server.store.resources import Row

Resource = Mapping[str, Any]


def unmerge(transaction: Transaction, source: Named, target: Named) -> Outcome:
    """Undo a merge; NotFound as for the merge, BusinessRule if the target does not replace the source."""
    old, new = merging.own(transaction, source, "source-patient"), merging.own(transaction, target, "target-patient")
    found = merges.of_source(transaction.connection, old.rh)
    if found is None or found.target != new.rh:
        raise BusinessRule("The target does not replace the source: there is nothing to undo.", "source-patient")
    record = orjson.loads(found.record)
    made = _written(transaction, old, new, record)
    merges.end(transaction.connection, [old.rh])
    back = _back(transaction, old, record)
    transaction.touched_patients |= {old.rh, new.rh}
    transaction.audit("unmerge", 200, transaction.changes)
    numbers = [f"{item['system']}|{item['value']}" for item in record["identifiers"]]
    return Outcome(f"Patient/{old.fid}", made, [], back, [], numbers)


def _written(transaction: Transaction, old: Row, new: Row, record: Mapping[str, Any]) -> Row:
    """Both Patients without what the merge had brought; the target's row."""
    transaction.marks.add(MERGING)
    source, target = wire.parse(old.body), wire.parse(new.body)
    lent = {(item.get("system"), item.get("value")) for item in record["identifiers"]}
    kept = [item for item in target["identifier"] if (item.get("system"), item.get("value")) not in lent]
    rest = _without(target, old, REPLACES)
    row = merging.write(transaction, new, {**rest, "identifier": kept}).row
    again = {name: value for name, value in _without(source, new, REPLACED_BY).items() if name != "active"}
    if record["active"] is not None:
        again["active"] = record["active"]
    if record["identifiers"]:
        again["identifier"] = record["identifiers"]
    if record["profile"]:
        merging.claim(again, [*source.get("meta", {}).get("profile", []), words.PATIENT])
    merging.write(transaction, old, again)
    return row


def _without(patient: Resource, other: Row, type_: str) -> dict[str, Any]:
    """The Patient without its link of this type to the other one."""
    gone = {"other": {"reference": f"Patient/{other.fid}"}, "type": type_}
    links = [one for one in patient.get("link", []) if one != gone]
    rest = {name: value for name, value in patient.items() if name != "link"}
    return {**rest, "link": links} if links else rest


def _back(transaction: Transaction, old: Row, record: Mapping[str, Any]) -> list[str]:
    """Put the source where the files in force have it; the rosters that it is back on."""
    left = {(fid, version) for fid, _, version in record["left"]}
    replay = Replay(transaction.context, "")
    found = [row for key in sorted({key for _, key, _ in record["left"]}) if (row := replay.said_of(key, left))]
    standing = members.of_patients(transaction.connection, [old.rh]).get(old.rh, [])
    back = []
    for row in found:
        fid = replay.rosters[row.grp]
        _enter(transaction, fid, row, [one for one in standing if (one.grp, one.key) == (row.grp, row.key)])
        publishing.publish(transaction, fid)
        back.append(f"Group/{fid}")
    return back


def _enter(transaction: Transaction, fid: str, row: Member, ended: list[Member]) -> None:
    transaction.marks.add(groups.IMPORTING)
    version = publishing.version(transaction, fid) + 1
    begun = [row._replace(change="new", from_version=version, to_version=LAST)]
    roster_rows.replace(transaction, ended, begun)
    publishing.give(transaction, begun)
    facts = load(row.row)
    period = mapping.period(facts.assignment_date or facts.authorization_start, facts.authorization_end)
    visible = transaction.context.visible_targets()
    for team in resources.by_hash(transaction.connection, visible, [rh(f"CareTeam/{row.team_fid}")]):
        teams.keep(transaction, team, period)
