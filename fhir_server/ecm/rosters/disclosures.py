"""Who was disclosed when a roster was shown: all members of a version, all but some, or some, in the audit trail.

Members of a published version never change, so that "all of version 7" names them as exactly as a list, whatever their
number. The hash is that of the answer's ETag.
"""

from collections.abc import Collection

from fhir_server.engine.context import Context
from fhir_server.store import members
from fhir_server.store.resources import Version

INTERACTION = "roster-members"


def note(context: Context, row: Version, shown: Collection[int], digest: str) -> None:
    """Add the event to the audit trail; NoStore (503) if it does not take it."""
    words, named = _told(context, row, shown)
    group = ["Group", row.fid, row.ver, None, 0]
    entities = [group, *(["Patient", "", 0, patient, 0] for patient in sorted(named))]
    told = f"{words} of version {row.ver}, {len(shown)} shown, {digest}"
    context.engine.reads.append(context.event(INTERACTION, 200, entities, told))


def _told(context: Context, row: Version, shown: Collection[int]) -> tuple[str, Collection[int]]:
    """How the members shown are named, and the shorter list of those shown and those left out."""
    sizes = context.engine.memo.setdefault("roster sizes", {})
    if sizes.get(row.rh) == (row.ver, len(shown)):
        return "all", ()
    everyone = set(members.patients(context.connection, row.rh, row.ver))
    sizes[row.rh] = (row.ver, len(everyone))
    left_out = everyone.difference(shown)
    if not left_out:
        return "all", ()
    return ("all but these", left_out) if len(left_out) < len(shown) else ("these", shown)
