"""The one door to resources: read, search, history, create, update, delete, each decided, checked, indexed, audited.

Every function takes the caller's Context. 403 depends on the token alone and is decided first; 404 depends on the
caller's view alone, so that hidden and absent are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fhir_server.access.predicate import facts
from fhir_server.access.writes import may_write
from fhir_server.engine import writing
from fhir_server.engine.context import Context
from fhir_server.engine.transaction import Change, Transaction, event
from fhir_server.engine.writing import Draft
from fhir_server.fhir.definitions import type_number
from fhir_server.fhir.errors import BusinessRule, Gone, MethodNotAllowed, NotFound, PreconditionRequired
from fhir_server.search.query import SearchQuery
from fhir_server.store import resources
from fhir_server.store.resources import Row

if TYPE_CHECKING:
    from fhir_server.search.run import Hit, Page

VERSIONED = frozenset({"Task", "Consent"})  # updated with If-Match only (B-07)


def read(context: Context, type_: str, fid: str) -> Row:
    """The current version as this caller is shown it; NotFound (absent or hidden) or Gone."""
    context.require("r", type_)
    row = resources.read(context.connection, context.visible("r"), type_number(type_), fid)
    if row is None:
        raise _not_found(context, "read", type_, fid)
    _log(context, "read", 410 if row.deleted else 200, [row], type_)
    if row.deleted:
        raise Gone(f"{type_}/{fid} was deleted.")
    return render(context, type_, row)


def vread(context: Context, type_: str, fid: str, version: int) -> Row:
    """One version; NotFound, or Gone if that version is the deletion."""
    context.require("r", type_)
    rows = _versions(context, type_, fid, version + 1, 1)
    if not rows or rows[0].ver != version:
        raise _not_found(context, "vread", type_, fid)
    _log(context, "vread", 410 if rows[0].deleted else 200, rows, type_)
    if rows[0].deleted:
        raise Gone(f"{type_}/{fid} was deleted in version {version}.")
    return render(context, type_, rows[0])


def history(context: Context, type_: str, fid: str, *, below: int, limit: int, since: int = 0) -> list[Row]:
    """Versions newer than `since` with a number below `below`, newest first; NotFound if the resource is not seen."""
    context.require("r", type_)
    if resources.read(context.connection, context.visible("r"), type_number(type_), fid) is None:
        raise _not_found(context, "history", type_, fid)
    rows = _versions(context, type_, fid, below, limit, since)
    _log(context, "history-instance", 200, rows, type_)
    return [row if row.deleted else render(context, type_, row) for row in rows]


def _versions(context: Context, type_: str, fid: str, below: int, limit: int, since: int = 0) -> list[Row]:
    return resources.versions(
        context.connection, context.visible("r"), type_number(type_), fid, below=below, limit=limit, since=since
    )


def search(context: Context, query: SearchQuery, token: str | None = None) -> Page:
    """One page of matches with what they include."""
    context.require("s", query.type)
    page = context.engine.searcher.search(
        context.connection, query, context.visible("s"), caller=context.caller, now=context.now, token=token
    )
    _log(context, "search-type", 200, [*page.hits, *page.included], query.type, query.self_text)
    return page


def match(context: Context, query: SearchQuery, limit: int = 2) -> Sequence[Hit]:
    """What criteria match under the caller's own view, for conditional interactions (L13)."""
    context.require("s", query.type)
    return context.engine.searcher.match(context.connection, query, context.visible("s"), limit=limit)


def create(context: Context, new: Draft, fid: str | None = None) -> Change:
    """Store a new resource, owned by the caller's organization."""
    context.require("c", new.type)

    def work(transaction: Transaction) -> Change:
        made = writing.insert(transaction, new, fid)
        transaction.audit("create", 201, [made])
        return made

    return context.transact(work)


def update(context: Context, new: Draft, fid: str, tag: int | None, *, required: bool = True) -> Change:
    """Store the next version; `tag` is the version named by If-Match. A free id is taken only with that right."""
    context.require("u", new.type)
    writing.body_id(new.resource, fid)
    if required and tag is None and new.type in VERSIONED:
        message = f"{new.type} is updated with If-Match only. Send If-Match with the ETag of the version you read."
        raise PreconditionRequired(message)

    def work(transaction: Transaction) -> Change:
        current = _current(transaction.context, new.type, fid)
        made = _update(transaction, new, fid, current, tag)
        transaction.audit("update", 200 if made.before else 201, [made])
        return made

    return context.transact(work)


def _update(transaction: Transaction, new: Draft, fid: str, current: Row | None, tag: int | None) -> Change:
    if current is None:
        _require_right(transaction.context, new.type)
        return writing.insert(transaction, new, fid)
    _require_writable(transaction, new.type, current)
    writing.if_match(current, tag)
    if current.deleted:
        return writing.insert(transaction, new, fid, over=current)
    return writing.change(transaction, current, new)


def modify(
    context: Context, type_: str, fid: str, tag: int | None, edit: Callable[[Row], bytes], *, required: bool = True
) -> Change:
    """Store what `edit` makes of the current version (a patch)."""
    context.require("u", type_)
    if required and tag is None and type_ in VERSIONED:
        message = f"{type_} is changed with If-Match only. Send If-Match with the ETag of the version you read."
        raise PreconditionRequired(message)

    def work(transaction: Transaction) -> Change:
        current = _existing(transaction, type_, fid)
        writing.if_match(current, tag)
        new = writing.draft(transaction.context, type_, edit(current))
        made = writing.change(transaction, current, new, "patch")
        transaction.audit("patch", 200, [made])
        return made

    return context.transact(work)


def delete(context: Context, type_: str, fid: str, tag: int | None = None) -> Change | None:
    """Mark a resource deleted; None if it was deleted already; NotFound if it is absent or hidden (B-10)."""
    context.require("d", type_)

    def work(transaction: Transaction) -> Change | None:
        current = _existing(transaction, type_, fid, deleted_too=True)
        if current.deleted:
            return None
        writing.if_match(current, tag)
        made = writing.remove(transaction, type_, current)
        transaction.audit("delete", 204, [made])
        return made

    return context.transact(work)


def _current(context: Context, type_: str, fid: str) -> Row | None:
    return resources.read(context.connection, context.visible("*"), type_number(type_), fid)


def _existing(transaction: Transaction, type_: str, fid: str, *, deleted_too: bool = False) -> Row:
    current = _current(transaction.context, type_, fid)
    if current is None:
        raise _not_found(transaction.context, "update", type_, fid)
    if current.deleted and not deleted_too:
        raise Gone(f"{type_}/{fid} was deleted.")
    _require_writable(transaction, type_, current)
    return current


def _require_writable(transaction: Transaction, type_: str, current: Row) -> None:
    """R12: visible but not this caller's to write is 422 and nothing changes."""
    context = transaction.context
    about = facts(transaction.connection, context.caller, current.patient, current.rh, context.now)
    if current.view or not may_write(context.caller, type_, current.owner, about):
        message = f"{type_}/{current.fid} belongs to another organization. Only its owner may change it."
        raise BusinessRule(message)


def _require_right(context: Context, type_: str) -> None:
    if "update-create" not in context.caller.rights:
        message = f"There is no such {type_} that you may update. Create one with POST; the server gives it an id."
        raise MethodNotAllowed(message, headers={"Allow": "GET, HEAD"})
    context.require("c", type_)


def render(context: Context, type_: str, row: Row) -> Row:
    """The row as a guest's `render` gate shows it to this caller."""
    hook = context.engine.hooks.render.get(type_)
    return hook(context, row) if hook else row


def _not_found(context: Context, interaction: str, type_: str, fid: str) -> NotFound:
    _log_event(context, interaction, 404, [], f"{type_}/{fid[:64]}")
    return NotFound("There is no such resource.")


def _log(context: Context, interaction: str, status: int, rows: Sequence[Any], type_: str, query: str = "") -> None:
    _log_event(context, interaction, status, [[type_, row.fid, row.ver, row.patient, row.labels] for row in rows], query)


def _log_event(context: Context, interaction: str, status: int, entities: list[Any], query: str = "") -> None:
    context.engine.reads.append(event(context, interaction, status, entities, query))


def denied(context: Context, interaction: str, status: int, detail: Mapping[str, Any] | str = "") -> None:
    """Audit a refusal that no other function audited."""
    _log_event(context, interaction, status, [], str(detail)[:256])
