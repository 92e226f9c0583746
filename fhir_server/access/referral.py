"""What a referral Task shows to whom, in each of its states (R5).

https://hl7.org/fhir/R4/task.html and http://hl7.org/fhir/us/sdoh-clinicalcare (referral workflow)
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.access.classes import OPEN, TPO
from fhir_server.access.law import Law
from fhir_server.access.relations import REFERRAL, Resource, Share, items, local
from fhir_server.fhir.errors import BusinessRule
from fhir_server.store.hashing import rh

OrganizationOf = Callable[[str], "str | None"]  # "PractitionerRole/x" -> "Organization/y"

_RUNNING: Final = frozenset({"received", "accepted", "ready", "in-progress", "on-hold"})
_ENDED: Final = frozenset({"completed", "failed", "cancelled"})
_REQUESTERS: Final = ("requester", "for", "focus", "input", "partOf")


def only_organizations(reference: str) -> str | None:
    """An `organization_of` for a server that resolves no practitioner to an organization."""
    return reference if reference.startswith("Organization/") else None


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a Task: what was before (None: created), what is now, its focus, and who writes."""

    task: Resource
    before: Resource | None
    focus: Resource | None
    source: int  # the Task's own hash, which stands in every row it causes
    owner: int  # of the Task's row
    writer: int
    now: int
    grace: int  # milliseconds for which an ended referral stays readable


def targets(task: Resource, focus: Resource | None) -> frozenset[str]:
    """What the Task would show besides itself, as "Type/id": its ServiceRequest, its patient, what either adds."""
    request = local(task.get("focus"), "ServiceRequest")
    listed = [local(entry.get("valueReference")) for entry in items(task, "input") if isinstance(entry, Mapping)]
    if request is not None and focus is not None:
        listed += map(local, items(focus, "supportingInfo"))
    return frozenset(filter(None, (request, local(task.get("for"), "Patient"), *listed)))


def mask_by(law: Law, law_class_of: Callable[[int], "str | None"]) -> Callable[[int], int]:
    """Org -> the mask of its shares: the referral row of the law table; ordinary information alone if it is unknown."""

    def mask(org: int) -> int:
        return law(law_class_of(org) or "", REFERRAL, TPO[0]) or 0

    return mask


def on_requesters_side(write: Write, organization_of: OrganizationOf = only_organizations) -> bool:
    """Whether the writer may widen what the Task shows: the row's owner, or the requester there was before."""
    if write.writer == write.owner:
        return True
    return write.before is not None and write.writer in _orgs([write.before.get("requester")], organization_of)


def require_own_side(write: Write, organization_of: OrganizationOf = only_organizations) -> None:
    """BusinessRule if the performing side changes what is shown or to whom: else the requester's next write, made in
    good faith, would share it (L23). It may make itself the owner, and leave the list of candidates.
    """
    if write.before is None or not write.task or on_requesters_side(write, organization_of):
        return
    for name in _REQUESTERS:
        if write.before.get(name) != write.task.get(name):
            raise BusinessRule(f"Task.{name} is for the requester to change.", f"Task.{name}")
    owner = _orgs([write.task.get("owner")], organization_of)
    if not owner <= {write.writer} | _orgs([write.before.get("owner")], organization_of):
        raise BusinessRule("Task.owner can become your own organization only.", "Task.owner")
    if not _candidates(write.task, organization_of) <= _candidates(write.before, organization_of):
        raise BusinessRule("Candidates of a Task are for the requester to add.", "Task.restriction.recipient")


def shares_of_task(
    write: Write,
    shareable: Collection[int],
    mask_of: Callable[[int], int],
    previous: Sequence[Share] = (),
    organization_of: OrganizationOf = only_organizations,
) -> list[Share]:
    """Every share row this Task causes from now on; they replace all earlier rows with this source.

    `shareable` holds the hashes among `targets` that the requester may pass on. A writer of the other side can only
    narrow: it adds no organization and no resource, and BusinessRule meets the attempt (`require_own_side`). What has
    begun keeps its begin, and an end that was set stays. What is shown hangs on the right of who passed it on last.
    """
    require_own_side(write, organization_of)
    lives = {(row.org, row.target, row.view): row for row in previous if row.ends > write.now}
    widens = on_requesters_side(write, organization_of)
    wanted: dict[tuple[int, int, int], int] = {}
    for org, target, view, ends in _wanted(write, shareable if widens else None, organization_of):
        wanted[org, target, view] = max(ends, wanted.get((org, target, view), 0))
    found: list[Share] = []
    for key, ends in wanted.items():
        old = lives.get(key)
        if old is None and not (widens and _is_new_to(key, write)):
            continue
        begins, last = (old.begins, _end(old, ends)) if old else (write.now, ends)
        giver = _giver(key, write) if widens or old is None else old.giver
        found.append(Share(*key, mask_of(key[0]), begins, last, write.source, giver))
    return found


def _giver(key: tuple[int, int, int], write: Write) -> int:
    """Whose own right a share hangs on: the Task itself, and the contact view it needs, hang on the Task alone."""
    _, target, view = key
    return 0 if target == write.source or view else write.writer


def _is_new_to(key: tuple[int, int, int], write: Write) -> bool:
    """Nobody shares with itself: what it may see by a relation would stay with it when the relation ends."""
    org, target, _ = key
    return target == write.source or org not in {write.writer, write.owner}


def _end(old: Share, ends: int) -> int:
    return min(old.ends, ends)


def _wanted(
    write: Write, shareable: Collection[int] | None, organization_of: OrganizationOf
) -> Iterator[tuple[int, int, int, int]]:
    """(organization, target, view, ends) of all that the state of the Task calls for."""
    status = write.task.get("status")
    if status in {None, "entered-in-error"}:
        return
    for org in _orgs([write.task.get("requester")], organization_of):
        yield org, write.source, 0, OPEN
    for org, ends, everything in _audience(write, str(status), organization_of):
        yield org, write.source, 0, ends
        if everything:
            for target, view in _shown(write, shareable):
                yield org, target, view, ends


def _audience(write: Write, status: str, organization_of: OrganizationOf) -> Iterator[tuple[int, int, bool]]:
    """(organization, ends, whether it sees more than the Task)."""
    task, later = write.task, write.now + write.grace
    owners = _orgs([task.get("owner")], organization_of)
    if status == "requested":
        for org in owners | _candidates(task, organization_of):
            yield org, OPEN, True
    elif status in _RUNNING:
        yield from ((org, OPEN, True) for org in owners)
    elif status in _ENDED:
        yield from ((org, later, not _was_taken_back(write)) for org in owners)
    elif status == "rejected":
        yield from ((org, later, False) for org in owners)


def _was_taken_back(write: Write) -> bool:
    """Whether a request is cancelled that nobody had accepted: it was nobody's work, and is nobody's to look up."""
    return write.task.get("status") == "cancelled" and (write.before or {}).get("status") == "requested"


def _shown(write: Write, shareable: Collection[int] | None) -> Iterator[tuple[int, int]]:
    """(target, view); of a Patient never more than the contact view."""
    for reference in sorted(targets(write.task, write.focus)):
        target = rh(reference)
        if shareable is None or target in shareable:
            yield target, 1 if reference.startswith("Patient/") else 0


def _candidates(task: Resource, organization_of: OrganizationOf) -> set[int]:
    return _orgs(items(task.get("restriction") or {}, "recipient"), organization_of)


def _orgs(references: Collection[Any], organization_of: OrganizationOf) -> set[int]:
    names = {name for reference in references if (name := local(reference))}
    return {rh(org) for name in names if (org := organization_of(name))}
