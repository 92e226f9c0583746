"""What was shown before, looked at once more: whether this caller may still be shown it, and as what.

For answers that are kept, under a key or as a file of a job: access may have ended since they were given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.store import resources


def shown_again(context: Context, type_: str, fid: str, version: int | None) -> bytes | None:
    """The version (None: the current one) as the caller is shown it now, b"" if deleted; None if it sees it no more.

    It is audited. Scopes are not asked again: whoever calls this has seen to it that they are those of before.
    """
    view = context.visible_targets()
    row = resources.read(context.connection, view, type_, fid)
    if row and version not in (None, row.ver):
        row = resources.version(context.connection, view, type_, row.rid, int(version or 0))
    if row is None:
        repository.note(context, "replay", 404, f"{type_}/{fid[:64]}")
        return None
    entity = [type_, row.fid, row.ver, row.patient, row.labels]
    context.engine.reads.append(context.event("replay", 200, [entity]))
    return b"" if row.deleted else repository.render(context, type_, row)


def identity(resource: Mapping[str, Any]) -> tuple[str, str, int | None] | None:
    """(type, id, version) of a resource that is stored here; None for what was made for an answer."""
    meta = resource.get("meta")
    version = meta.get("versionId", "") if isinstance(meta, Mapping) else ""
    type_, fid = resource.get("resourceType"), resource.get("id")
    if not isinstance(type_, str) or not isinstance(fid, str) or not str(version).isdecimal():
        return None
    return type_, fid, int(version)
