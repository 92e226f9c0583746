"""Rosters: one ATR Group per contract of a plan and a provider; its members live in rows and are rendered per caller.

Da Vinci Member Attribution 2.1 (http://hl7.org/fhir/us/davinci-atr). The version of a roster is the version of its
Group; its ETag adds a hash of the members this caller sees, so that a change of access is a change of the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import xxhash

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.rosters import disclosures
from fhir_server.ecm.rosters.entries import entry
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Context, Edits, Transaction
from fhir_server.fhir.errors import BusinessRule
from fhir_server.store import members
from fhir_server.store.members import Member
from fhir_server.store.resources import Version

IMPORTING = "roster-import"  # the mark of a transaction that may write rosters
_PAGE = 2000


def is_roster(group: Any) -> bool:
    """Whether a Group is a roster: it carries a contract identifier."""
    return any(item.get("system") == words.CONTRACT for item in group.get("identifier", []))


def check(transaction: Transaction, change: Change) -> Edits | None:
    """before_write: rosters are written by files alone; a plan may create one without members."""
    if change.type != "Group" or IMPORTING in transaction.marks:
        return None
    if change.old and is_roster(change.old):
        raise BusinessRule(
            "A roster changes by assignment files (POST /Group/$import-assignments) and the plan's steps.", "Group"
        )
    if is_roster(change.resource):
        raise BusinessRule("A roster is made by the first assignment file that names its provider.", "Group")
    return None


def new_roster(plan: str, provider: str, provider_name: str) -> dict[str, Any]:
    """The Group of a contract, without members."""
    contract = f"{plan.rpartition('/')[2]}.{provider.rpartition('/')[2]}"
    characteristic = {"coding": [{"system": words.GROUP_CHARACTERISTICS, "code": words.CONTRACTED_PROVIDER}]}
    return {
        "resourceType": "Group",
        "meta": {"profile": [words.GROUP]},
        "extension": [{"url": words.LIST_STATUS, "valueCode": "open"}],
        "identifier": [{"system": words.CONTRACT, "value": contract}],
        "active": True,
        "type": "person",
        "actual": True,
        "name": f"ECM members assigned to {provider_name}",
        "managingEntity": {"reference": plan},
        "characteristic": [{"code": characteristic, "valueReference": {"reference": provider}, "exclude": False}],
    }


def visible_members(context: Context, group: int, version: int, since: int = 0) -> Iterator[Member]:
    """Every member of a version that this caller may see now, in the order of their keys, read page by page."""
    after = ""
    fetch = partial(members.seen, context.connection, context.visible("r"), group, version, limit=_PAGE, since=since)
    while rows := fetch(after=after):
        yield from rows
        if len(rows) < _PAGE:
            return
        after = rows[-1].key


def render(context: Context, row: Version) -> bytes:
    """render: the roster with its visible members in place; other Groups are shown as they are."""
    if words.CONTRACT.encode() not in row.body:
        return row.body
    found = list(visible_members(context, row.rh, row.ver))
    digest = _digest(found)
    context.notes["roster", row.rh, row.ver] = digest
    disclosures.note(context, row, [one.patient for one in found], digest)
    if not found:
        return row.body
    return row.body.rstrip()[:-1] + b',"member":[' + b",".join([entry(one, row.ver) for one in found]) + b"]}"


def headers(context: Context, row: Version) -> dict[str, str]:
    """headers: the roster's ETag, W/"version-hash of the members shown"."""
    if words.CONTRACT.encode() not in row.body:
        return {}
    shown = context.notes.get(("roster", row.rh, row.ver)) or _digest(visible_members(context, row.rh, row.ver))
    return {"ETag": f'W/"{row.ver}-{shown}"'}


def _digest(found: Iterable[Member]) -> str:
    prints = [one.patient_fid.encode() + one.row_hash.to_bytes(8, "big", signed=True) for one in found]
    return xxhash.xxh3_64(b"".join(prints)).hexdigest()
