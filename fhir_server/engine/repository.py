"""The one door to resources: read, search, history, create, update, delete, each decided, checked, indexed, audited.

Every function takes the caller's Context. 403 depends on the token alone and is decided first; 404 depends on the
caller's view alone, so that hidden and absent are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fhir_server.access.directory import DIRECTORY_TYPES
from fhir_server.engine import hits, meta, permits, writing
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Context, Transaction
from fhir_server.engine.writing import Draft
from fhir_server.fhir.definitions import type_names
from fhir_server.fhir.errors import BusinessRule, Forbidden, Gone, Unseen
from fhir_server.search.model import SearchQuery
from fhir_server.store import resources
from fhir_server.store.hashing import rh
from fhir_server.store.history import Place, Span, versions
from fhir_server.store.resources import Row, Version

if TYPE_CHECKING:
    from fhir_server.search.include import Hit
    from fhir_server.search.run import Page

_PUBLIC = tuple(sorted(DIRECTORY_TYPES))


def read(context: Context, type_: str, fid: str) -> Row:
    """The current version as this caller is shown it; NotFound (absent or hidden) or Gone."""
    context.require("r", type_)
    row = resources.read(context.connection, context.visible("r"), type_, fid)
    if row is None:
        raise _not_found(context, "read", type_, fid)
    _log(context, "read", 410 if row.deleted else 200, [row], type_)
    if row.deleted:
        raise Gone(f"{type_}/{fid} was deleted.")
    return row._replace(body=render(context, type_, row))


def read_all(context: Context, references: Sequence[str]) -> Mapping[str, Row]:
    """The current versions of these (Type/id) as this caller is shown them; as from what a search includes, what is
    absent, hidden, deleted or of a type out of scope is left out.
    """
    rows = resources.by_hash(context.connection, context.visible("r"), map(rh, references))
    entities = [[type_names()[row.type], row.fid, row.ver, row.patient, row.labels] for row in rows]
    _log_event(context, "read", 200, entities, " ".join(references))
    named = ((type_names()[row.type], row) for row in rows)
    return {f"{type_}/{row.fid}": row._replace(body=render(context, type_, row)) for type_, row in named}


def vread(context: Context, type_: str, fid: str, version: int) -> Row:
    """One version; NotFound, or Gone if that version is the deletion."""
    context.require("r", type_)
    view = context.visible("r")
    current = resources.read(context.connection, view, type_, fid)
    row = resources.version(context.connection, view, type_, current.rid, version) if current else None
    if row is None:
        raise _not_found(context, "vread", type_, fid)
    _log(context, "vread", 410 if row.deleted else 200, [row], type_)
    if row.deleted:
        raise Gone(f"{type_}/{fid} was deleted in version {version}.")
    return row._replace(body=render(context, type_, row))


def history(context: Context, type_: str, fid: str, span: Span, after: Place, limit: int) -> list[Row]:
    """Up to `limit` versions behind `after`, newest first: of one resource, of a type ("" as id), or of all types ("").

    NotFound if the one resource is not seen.
    """
    rid, view = None, context.visible("r")
    if type_:
        context.require("r", type_)
    elif not context.caller.scopes.types("r"):
        raise Forbidden("The access token has no scope to read anything.")
    if fid:
        current = resources.read(context.connection, view, type_, fid)
        if current is None:
            raise _not_found(context, "history", type_, fid)
        rid = current.rid
    rows = versions(context.connection, view, type_, rid, span, after, limit, _PUBLIC)
    level = "instance" if fid else "type" if type_ else "system"
    entities = [[type_names()[row.type], row.fid, row.ver, row.patient, row.labels] for row in rows]
    _log_event(context, f"history-{level}", 200, entities)
    return [row if row.deleted else row._replace(body=render(context, type_names()[row.type], row)) for row in rows]


def settled(context: Context, newest: int) -> int:
    """An instant not after `newest` before which no more versions will appear, however long they take to be stored."""
    return min(newest, context.engine.database.settled(context.now))


def search(context: Context, query: SearchQuery) -> Page:
    """One page of matches with what they include."""
    _require_search(context, query)
    page = context.engine.searcher.search(
        context.connection, query, context.visible("s"), identity=_identity(context), now_ms=context.now
    )
    named = [hits.holder(hit) for hit in _all(page)]
    entities = [[type_, one.fid, one.ver, one.patient, one.labels] for type_, one in named]
    _log_event(context, query.interaction, 200, entities, query.text)
    return page


def _require_search(context: Context, query: SearchQuery) -> None:
    for type_ in query.named:
        context.require("s", type_)
    if not context.caller.scopes.types("s"):
        context.require("s", "*")


def resume(context: Context, token: str) -> SearchQuery:
    """The query behind a page token; BadValue if it was altered, NotFound if it is another caller's (L17)."""
    return context.engine.searcher.resume(token, _identity(context), context.now)


def _identity(context: Context) -> str:
    return f"{context.caller.client} {context.caller.org}"


def show(context: Context, interaction: str, type_: str, row: Hit) -> bytes:
    """The body of what criteria matched, as this caller is shown it; audited as a disclosure."""
    _log(context, interaction, 200, [row], type_)
    return render(context, type_, row)


def _all(page: Page) -> list[Hit]:
    return [*page.hits, *page.included]


def match(context: Context, query: SearchQuery, limit: int = 2) -> Sequence[Hit]:
    """What criteria match under the caller's own view, for conditional interactions (L13)."""
    _require_search(context, query)
    return context.engine.searcher.match(context.connection, query, context.visible("s"), limit=limit)


def lookup(context: Context, type_: str, criteria: Sequence[tuple[str, str]], limit: int = 2) -> Sequence[Hit]:
    """What criteria match among all that the caller may refer to; for rules of the server, not for answers."""
    query = context.engine.searcher.parse(type_, criteria)
    return context.engine.searcher.match(context.connection, query, context.visible_targets(), limit=limit)


def create(context: Context, new: Draft, fid: str | None = None) -> Change:
    """Store a new resource, owned by the caller's organization."""
    context.require("c", new.type)

    def work(transaction: Transaction) -> Change:
        permits.require_writable(transaction.context, "c", new.type, None, permits.patient_of(transaction, new))
        made = writing.insert(transaction, new, fid)
        transaction.audit("create", 201, [made])
        return made

    return context.transact(work)


def update(context: Context, new: Draft, fid: str, tag: int | None, *, required: bool = True) -> Change:
    """Store the next version; `tag` is the version named by If-Match. A free id is taken only with that right."""
    context.require("u", new.type)
    writing.body_id(new.resource, fid)
    if required:
        permits.require_tag(new.type, tag, "updated")

    def work(transaction: Transaction) -> Change:
        current = looked[0] = _current(transaction.context, "u", new.type, fid)
        made = _update(transaction, new, fid, current, tag)
        transaction.audit("update", 200 if made.before else 201, [made])
        return made

    looked: list[Row | None] = [None]
    try:
        return context.transact(work)
    except BusinessRule:
        if not _overtaken(context, new.type, looked[0]):
            raise
    return update(context.again(), new, fid, tag, required=required)


def _overtaken(context: Context, type_: str, before: Row | None) -> bool:
    """Whether another write came after our look: then the refusal was about the past, and its answer is 404 or 412."""
    return not context.transaction and before is not None and _current(context, "u", type_, before.fid) != before


def _update(transaction: Transaction, new: Draft, fid: str, current: Row | None, tag: int | None) -> Change:
    if current is None:
        permits.require_right(transaction.context, new.type)
        permits.require_own_name(transaction, f"{new.type}/{fid}")
        permits.require_writable(transaction.context, "c", new.type, None, permits.patient_of(transaction, new))
        return writing.insert(transaction, new, fid)
    permits.require_writable(transaction.context, "u", new.type, current, None)
    writing.if_match(current, tag)
    if current.deleted:
        return writing.insert(transaction, new, fid, over=current)
    return writing.change(transaction, current, new)


def modify(
    context: Context, type_: str, fid: str, tag: int | None, edit: Callable[[Row], bytes], *, required: bool = True
) -> Change:
    """Store what `edit` makes of the current version (a patch)."""
    context.require("u", type_)
    if required:
        permits.require_tag(type_, tag, "changed")
    # Edited before the transaction begins, so that a long patch holds up nobody; again only if it came too late.
    ready = None if context.transaction else _edited(context, type_, fid, tag, edit)

    def work(transaction: Transaction) -> Change:
        current, new = _edited(transaction.context, type_, fid, tag, edit, ready)
        made = writing.change(transaction, current, new, "patch")
        transaction.audit("patch", 200, [made])
        return made

    return context.transact(work)


def _edited(
    context: Context,
    type_: str,
    fid: str,
    tag: int | None,
    edit: Callable[[Row], bytes],
    ready: tuple[Row, Draft] | None = None,
) -> tuple[Row, Draft]:
    """The current version and what `edit` makes of it; `ready` is what it made of an earlier look."""
    current = _existing(context, "u", type_, fid)
    writing.if_match(current, tag)
    if ready and ready[0] == current:
        return ready
    return current, writing.draft(context, type_, edit(current))


def amend(context: Context, type_: str, fid: str, edit: Callable[[meta.Meta], meta.Meta]) -> meta.Meta:
    """Tags, labels and profiles of the current version, changed in place: its version and time stay (B-63)."""
    context.require("u", type_)

    def work(transaction: Transaction) -> meta.Meta:
        made = meta.change(transaction, type_, _existing(transaction.context, "u", type_, fid), edit)
        transaction.audit("meta", 200, [made])
        changed: meta.Meta = made.resource["meta"]
        return changed

    return context.transact(work)


def delete(context: Context, type_: str, fid: str, tag: int | None = None) -> Change | None:
    """Mark a resource deleted; None if it was deleted already; NotFound if it is absent or hidden (B-10)."""
    context.require("d", type_)

    def work(transaction: Transaction) -> Change | None:
        current = _existing(transaction.context, "d", type_, fid)
        if current.deleted:
            return None
        writing.if_match(current, tag)
        made = writing.remove(transaction, type_, current)
        transaction.audit("delete", 204, [made])
        return made

    return context.transact(work)


def _current(context: Context, letter: str, type_: str, fid: str) -> Row | None:
    return resources.read(context.connection, context.visible(letter), type_, fid)


def _existing(context: Context, letter: str, type_: str, fid: str) -> Row:
    current = _current(context, letter, type_, fid)
    if current is None:
        raise _not_found(context, "delete" if letter == "d" else "patch", type_, fid)
    if current.deleted and letter != "d":
        raise Gone(f"{type_}/{fid} was deleted.")
    permits.require_writable(context, letter, type_, current, None)
    return current


def extra_headers(context: Context, type_: str, row: Version) -> dict[str, str]:
    """Headers that a guest's rendering brings along, such as the ETag of a roster as this caller sees it."""
    return context.engine.hooks.headers[type_](context, row) if type_ in context.engine.hooks.headers else {}


def render(context: Context, type_: str, row: Version) -> bytes:
    """The body as a guest's `render` gate shows it to this caller."""
    hook = context.engine.hooks.render.get(type_)
    return hook(context, row) if hook else row.body


def _not_found(context: Context, interaction: str, type_: str, fid: str) -> Unseen:
    _log_event(context, interaction, 404, [], f"{type_}/{fid[:64]}")
    return Unseen("There is no such resource.")


def _log(context: Context, interaction: str, status: int, rows: Sequence[Any], type_: str, query: str = "") -> None:
    _log_event(
        context, interaction, status, [[type_, row.fid, row.ver, row.patient, row.labels] for row in rows], query
    )


def _log_event(context: Context, interaction: str, status: int, entities: list[Any], query: str = "") -> None:
    context.engine.reads.append(context.event(interaction, status, entities, query))


def note_refusal(context: Context, interaction: str, status: int, detail: str) -> None:
    """Audit what is refused to somebody who may ask as often as he likes: in bounded space (see `engine.refusals`)."""
    context.engine.reads.refusals.note(context.event(interaction, status, [], detail[:256]))


def note(context: Context, interaction: str, status: int, detail: Mapping[str, Any] | str = "") -> None:
    """Audit what no other function of this module audits: a refusal, a download."""
    _log_event(context, interaction, status, [], str(detail)[:256])
