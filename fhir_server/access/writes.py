"""Who may change what (R12): the owner, and for some types the other side of the work.

Whether the caller sees the row before and after is asked of the predicate; whether the change itself is right (the
states of a Task, If-Match) belongs to other rooms.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Final

from fhir_server.access.caller import Caller
from fhir_server.access.directory import is_directory
from fhir_server.access.relations import ASSIGNED

BY_ASSIGNED_PROVIDER: Final = frozenset({"CarePlan", "CareTeam", "Goal"})


def _no_kinds() -> frozenset[str]:
    return frozenset()


def _no_party() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision may need to know, each found out only when it is needed.

    kinds: the caller's live relations to the patient (`consequences.live_kinds`). party: whether the Task was shared
    with the caller for its own sake, as its requester, owner or candidate.
    """

    kinds: Callable[[], frozenset[str]] = _no_kinds
    party: Callable[[], bool] = _no_party


@dataclass(frozen=True, slots=True)
class WriteDecision:
    """Whether a change is allowed (its truth value), by which rule, and if not, why, in words for the client (422)."""

    allowed: bool
    rule: str
    reason: str = ""

    def __bool__(self) -> bool:
        return self.allowed


def may_write(
    caller: Caller, type: str, owner: int | None, about: Facts, letter: str = "u", guarded: Container[str] = ()
) -> WriteDecision:
    """The decision for creating (c), updating or patching (u) or deleting (d) a row that the caller can see.

    `owner` is that of the row as it is; None for a create. `guarded`: types of which a guest's rules say what the
    assigned provider may change.
    """
    if not is_directory(type) and not caller.clinical:
        return _unless(None, "This client may work with directory resources only.", "R9")
    if owner == caller.org_hash or (owner is None and type != "Consent"):
        return WriteDecision(allowed=True, rule="R3")
    if type == "Consent" and letter != "d":  # a member consents and revokes wherever they are
        reason = "Only an organization with a current relation to the member may write a Consent for them."
        return _unless(about.kinds(), reason)
    if type == "Task" and letter == "u":
        return _unless(about.party(), "Only the requester and the performer of a Task may change it.")
    if letter == "u" and (type in BY_ASSIGNED_PROVIDER or type in guarded):
        reason = f"Only the organization that wrote this {type}, or the provider assigned to the member, may change it."
        return _unless(ASSIGNED in about.kinds(), reason)
    return _unless(None, f"Only the organization that wrote this {type} may change or delete it.")


def _unless(fact: object, reason: str, rule: str = "R12") -> WriteDecision:
    if fact:
        return WriteDecision(allowed=True, rule=rule)
    return WriteDecision(allowed=False, rule=rule, reason=reason)
