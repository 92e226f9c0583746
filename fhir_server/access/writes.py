"""Who may change what (R12): the owner, and for some types the other side of the work.

Whether the caller sees the row before and after is asked of the predicate; whether the change itself is right (the
states of a Task, If-Match) belongs to other rooms.
"""

from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from fhir_server.access.caller import Caller
from fhir_server.access.directory import is_directory
from fhir_server.access.relations import ASSIGNED

BY_ASSIGNED_PROVIDER: Final = frozenset({"CarePlan", "CareTeam", "Goal"})


class WriteDecision(NamedTuple):
    """Whether a change is allowed, by which rule, and if not, why in words for the client (422)."""

    allowed: bool
    rule: str
    reason: str = ""


def may_write(
    caller: Caller,
    letter: str,
    type: str,
    *,
    owner: int | None,
    kinds: AbstractSet[str] = frozenset(),
    party: bool = False,
) -> WriteDecision:
    """The decision for creating (c), updating or patching (u) or deleting (d) a row the caller can see.

    owner: of the row as it is; None for a create. kinds: the caller's live relations to the patient, as
    `consequences.live_kinds` gives them. party: the Task was shared with the caller for its own sake.
    """
    if not is_directory(type) and not caller.clinical:
        return WriteDecision(allowed=False, rule="R9", reason="This client may work with directory resources only.")
    if type == "Consent":
        return _consent(caller, letter, owner, kinds)
    if owner is None or owner == caller.org_hash:
        return WriteDecision(allowed=True, rule="R3")
    if letter == "u" and type == "Task":
        return _granted_if(party, "Only the requester and the performer of a Task may change it.")
    if letter == "u" and type in BY_ASSIGNED_PROVIDER:
        reason = f"Only the organization that wrote this {type}, or the provider assigned to the member, may change it."
        return _granted_if(ASSIGNED in kinds, reason)
    return WriteDecision(
        allowed=False, rule="R12", reason=f"Only the organization that wrote this {type} may change or delete it."
    )


def _consent(caller: Caller, letter: str, owner: int | None, kinds: AbstractSet[str]) -> WriteDecision:
    """Any organization with a live relation records or updates a Consent: a member revokes wherever they are."""
    if owner == caller.org_hash or (kinds and letter != "d"):
        return WriteDecision(allowed=True, rule="R12" if kinds else "R3")
    return WriteDecision(
        allowed=False,
        rule="R12",
        reason="Only an organization with a current relation to the member may write a Consent for them.",
    )


def _granted_if(fact: object, reason: str) -> WriteDecision:
    return WriteDecision(allowed=True, rule="R12") if fact else WriteDecision(allowed=False, rule="R12", reason=reason)
