"""The steps of a write: body to checked draft, draft to rows, rows to index.

A write never changes the client's bytes but for the spans the server owns: id, meta, display of references to people,
references to its own base, and what a hook asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from fhir_server.access.labels import raise_only, risen
from fhir_server.engine import contact_rows, index_rows, keys, security_context
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Context, Transaction
from fhir_server.engine.labelling import labels, require_right_to_label
from fhir_server.engine.references import references, require_targets
from fhir_server.engine.transaction import record
from fhir_server.fhir import contents, wire
from fhir_server.fhir.definitions import type_number
from fhir_server.fhir.errors import BadValue, BusinessRule, Invalid, PreconditionFailed, RequiredMissing, Unprocessable
from fhir_server.store import resources
from fhir_server.store.hashing import rh
from fhir_server.store.ids import part_of
from fhir_server.store.resources import TENANT, Row
from fhir_server.validation import attachments, structure

_PEOPLE = ("Patient", "RelatedPerson", "Person")


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked resource on its way in: its type, bytes (b"" for what our own code made) and parsed form.

    indexed: its index rows and their generation, where they were made ahead.
    """

    type: str
    body: bytes
    resource: Mapping[str, Any]
    indexed: index_rows.Ahead | None = None


def draft(context: Context, type_: str, body: bytes, parsed: Any = None) -> Draft:
    """Parse and check a body (400 for what breaks FHIR, 422 for what breaks a profile).

    `parsed` is the body as `wire.parse` read it as part of a Bundle.
    """
    whole = parsed is None or len(body) > wire.RESOURCE_LIMIT
    resource: dict[str, Any] = wire.parse(body) if whole else parsed
    if "resourceType" not in resource:
        raise RequiredMissing("resourceType is missing.", "resourceType")
    if resource["resourceType"] != type_:
        raise Invalid(f"The URL says {type_}, the body another resourceType. Make them agree.", "resourceType")
    body, resource = _normalize(context, body, resource)
    check(context, type_, resource)
    return Draft(type_, body, resource)


def built(context: Context, type_: str, resource: dict[str, Any]) -> Draft:
    """A draft of a resource that the server's own code built; checked like any other."""
    check(context, type_, resource)
    return Draft(type_, b"", resource)


def ready(context: Context, type_: str, resource: dict[str, Any]) -> Draft:
    """A draft of a resource that our own code built, with its index rows: all that can be done before a transaction."""
    made, extractor = built(context, type_, resource), context.engine.extractor
    return replace(made, indexed=(extractor.rows(type_, resource), extractor.generation(type_)))


def check(context: Context, type_: str, resource: dict[str, Any]) -> None:
    """Structure (400), then the profiles claimed and those that policy requires (422)."""
    structure.check(type_, resource)
    text = contents.compact(resource)
    attachments.check(type_, resource, text)
    if b'"SUBSETTED"' in text:
        _refuse_subsetted(resource)
    required = required_profiles(context, type_, resource)
    issues = context.engine.profiles.check(type_, resource, required, text, context.now)
    if any(issue.severity in {"error", "fatal"} for issue in issues):
        raise Unprocessable(issues=issues[:50])


def required_profiles(context: Context, type_: str, resource: Mapping[str, Any]) -> list[str]:
    """The profiles that policy asks of a resource, whatever it claims."""
    return [url for hook in context.engine.hooks.required_profiles for url in hook(type_, resource)]


def _refuse_subsetted(resource: Mapping[str, Any]) -> None:
    tags = resource.get("meta", {}).get("tag", [])
    if any(tag.get("code") == "SUBSETTED" for tag in tags):
        message = "This is a part of a resource (tag SUBSETTED). Read it whole, change it, and send it whole."
        raise Unprocessable(message, "meta.tag")


def _normalize(context: Context, body: bytes, resource: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Make references to our own base relative, and drop the names of people beside references to them."""
    base = context.engine.settings.base_url.rstrip("/") + "/"
    edits: dict[tuple[str | int, ...], Any] = {}
    if not _may_need_edits(contents.compact(resource), base):
        return body, resource
    for path, node in references(resource):
        reference = node["reference"]
        if reference.startswith(base):
            edits[(*path, "reference")] = reference = reference.removeprefix(base)
        if "display" in node and reference.startswith(_PEOPLE):
            edits[(*path, "display")] = wire.DELETE
    return _edited(body, resource, edits)


def _may_need_edits(text: bytes, base: str) -> bool:
    has_display = contents.has_member(text, b"display")
    return any(one.startswith((base, *_PEOPLE) if has_display else base) for one in contents.reference_texts(text))


def _edited(body: bytes, resource: Any, edits: Mapping[tuple[str | int, ...], Any]) -> tuple[bytes, Any]:
    if not edits:
        return body, resource
    body = wire.edit(body or orjson.dumps(resource), edits)
    return body, wire.parse(body)


def insert(transaction: Transaction, new: Draft, fid: str | None = None, *, over: Row | None = None) -> Change:
    """Add a resource under a new id, or under `fid`; `over` is the deleted row that it revives."""
    context = transaction.context
    patient = context.engine.patients.find(new.type, fid, new.resource)
    fid = fid or context.engine.ids.fid(part_of(patient.split("/")[1]) if patient else None)
    if over:
        return _succeed(transaction, "update", over, new, {})
    patient = f"Patient/{fid}" if new.type == "Patient" else patient
    rid, owner = context.engine.ids.rid(), context.caller.org_hash
    row = _row(transaction, new, fid, patient, version=1, rid=rid, owner=owner)
    if new.type == "Binary":
        row = row._replace(patient=security_context.patient_of(transaction, new.resource))
    return _store(transaction, Change("create", new.type, row, new.resource), new)


def change(transaction: Transaction, current: Row, new: Draft, interaction: str = "update") -> Change:
    """Put a new version in place of `current`."""
    old = wire.parse(current.body)
    raise_only(*(resource.get("meta", {}).get("security", []) for resource in (old, new.resource)))
    return _succeed(transaction, interaction, current, new, old)


def _succeed(transaction: Transaction, interaction: str, current: Row, new: Draft, old: Mapping[str, Any]) -> Change:
    patient = transaction.context.engine.patients.find(new.type, current.fid, new.resource)
    row = _row(transaction, new, current.fid, patient, current.ver + 1, current.rid, current.owner, current.ts)
    if new.type == "Binary":
        row = row._replace(patient=security_context.patient_of(transaction, new.resource, current, old))
    if row.labels & ~current.labels:
        require_right_to_label(transaction, current, new.type, new.resource)
    row = row._replace(labels=risen(current.labels, row.labels))
    if not current.deleted and row.patient != current.patient and new.type != "Patient":
        message = "The patient of a stored resource cannot change. Create a new resource for the other patient."
        raise BusinessRule(message)
    return _store(transaction, Change(interaction, new.type, row, new.resource, current, old), new)


def remove(transaction: Transaction, type_: str, current: Row) -> Change:
    """Mark a resource deleted; its versions stay readable to those who could read them."""
    old = wire.parse(current.body)
    now = max(transaction.context.now, current.ts)
    row = current._replace(ver=current.ver + 1, ts=now, deleted=True, body=b"")
    deleted = Change("delete", type_, row, {}, current, old)
    _before_write(transaction, deleted)
    resources.replace(transaction.connection, transaction.batch, current, row)
    if type_ == "Patient":
        contact_rows.follow(transaction, deleted)
    index_rows.remove(transaction, current, type_, old)
    keys.release(transaction, current)
    record(transaction, deleted)
    return deleted


def _row(
    transaction: Transaction,
    new: Draft,
    fid: str,
    patient: str | None,
    version: int,
    rid: int,
    owner: int,
    not_before: int = 0,
) -> Row:
    context = transaction.context
    reference = f"{new.type}/{fid}"
    now = max(context.now, not_before)
    return Row(
        tenant=TENANT,
        part=part_of(fid),
        rid=rid,
        type=type_number(new.type),
        fid=fid,
        view=0,
        rh=rh(reference),
        ver=version,
        ts=now,
        deleted=False,
        owner=owner,
        patient=rh(patient) if patient else None,
        labels=labels(transaction, new.type, new.resource),
        gen=context.engine.extractor.generation(new.type),
        enc=0,
        body=b"",
    )


def _store(transaction: Transaction, what: Change, new: Draft) -> Change:
    edits = _before_write(transaction, what)
    body, resource = _edited(new.body, new.resource, edits)
    if edits:
        check(transaction.context, what.type, resource)
    inherited = require_targets(transaction, what, resource)
    what.resource, row = resource, what.row
    place = row.fid, row.ver, row.ts
    stamped = wire.stamp(body, *place) if body else wire.dump(resource, *place)
    what.row = row._replace(labels=row.labels | inherited, body=stamped)
    keys.claim(transaction, what)
    if what.before is None:
        resources.insert(transaction.batch, what.row)
        index_rows.add(transaction, what.row, what.type, resource, None if edits else new.indexed)
    else:
        resources.replace(transaction.connection, transaction.batch, what.before, what.row)
        index_rows.change(transaction, what)
    if what.type == "Patient":
        contact_rows.follow(transaction, what)
    record(transaction, what)
    return what


def _before_write(transaction: Transaction, what: Change) -> dict[tuple[str | int, ...], Any]:
    edits: dict[tuple[str | int, ...], Any] = {}
    for hook in transaction.context.engine.hooks.before_write:
        edits.update(hook(transaction, what) or {})
    return edits


NONE_YET = -1  # instead of a version: there must be no current one


def if_match(current: Row, tag: int | None) -> None:
    """PreconditionFailed (412) unless the version the client names is the current one (B-06); NONE_YET: if one is."""
    if tag == NONE_YET:
        if not current.deleted:
            raise PreconditionFailed("There is a resource of this id already, and If-None-Match: * wants none.")
    elif tag is not None and tag != current.ver:
        message = f"If-Match names version {tag}, the current version is {current.ver}. Read it again, then update."
        raise PreconditionFailed(message)


def body_id(resource: Mapping[str, Any], fid: str) -> None:
    """An update's body must carry the id of the URL (B-03)."""
    if "id" not in resource:
        raise RequiredMissing(f"An update needs the id in the body: {fid}.", "id")
    if resource["id"] != fid:
        raise BadValue("The id in the body differs from the id in the URL. Make them agree.", "id")
