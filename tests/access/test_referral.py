"""What a referral Task shows, in each of its states and to each side (R5, L23)."""

from dataclasses import replace

import pytest

from fhir_server.access.classes import OPEN
from fhir_server.access.law import standard
from fhir_server.access.referral import Write, mask_by, on_requesters_side, shares_of_task, targets
from fhir_server.access.relations import Share
from fhir_server.fhir.errors import BusinessRule
from fhir_server.store.hashing import rh
from tests.access.scene import DEFAULT, org

NOW, GRACE = 1000, 30
TASK = rh("Task/t")
FOCUS = {"supportingInfo": [{"reference": "Condition/c"}, {"reference": "Consent/k/_history/2"}]}
SHOWN = {("ServiceRequest/s", 0), ("Patient/p", 1), ("Condition/c", 0), ("Consent/k", 0), ("Observation/o", 0)}
EVERYTHING = SHOWN | {("Task/t", 0)}
NAMES = {rh(name): name for name, _ in EVERYTHING} | {rh("Patient/other"): "Patient/other"}
CAN = frozenset(NAMES) - {TASK}
CLASSES = {org("clinic"): "covered", org("pantry"): "non-hipaa", org("meals"): "non-hipaa"}


def task(status: str = "requested", owner: str | None = None, candidates: tuple[str, ...] = (), **more):
    return {
        "resourceType": "Task",
        "status": status,
        "focus": {"reference": "ServiceRequest/s"},
        "for": {"reference": "Patient/p"},
        "requester": {"reference": "Organization/clinic"},
        "input": [{"valueReference": {"reference": "Observation/o"}}, {"valueString": "x"}],
        **({"owner": {"reference": f"Organization/{owner}"}} if owner else {}),
        **(
            {"restriction": {"recipient": [{"reference": f"Organization/{name}"} for name in candidates]}}
            if candidates
            else {}
        ),
        **more,
    }


def write(resource, before=None, writer: str = "clinic", now: int = NOW) -> Write:
    return Write(resource, before, FOCUS, TASK, org("clinic"), org(writer), now, GRACE)


def shares(what: Write, previous=(), shareable=CAN) -> list[Share]:
    return shares_of_task(what, shareable, mask_by(standard(), CLASSES.get), previous)


def shown(found: list[Share], name: str, at: int = NOW) -> set[tuple[str, int]]:
    return {(NAMES[one.target], one.view) for one in found if one.org == org(name) and one.begins <= at < one.ends}


def test_targets():
    """The Task's ServiceRequest, its patient, what both list; without a focus, what the Task itself lists."""
    assert targets(task(), FOCUS) == {name for name, _ in SHOWN}
    assert targets(task(), None) == {"ServiceRequest/s", "Patient/p", "Observation/o"}
    assert targets({"focus": {"reference": "CarePlan/x"}}, FOCUS) == frozenset()


@pytest.mark.parametrize(
    ("status", "owner", "candidate", "owner_ends"),
    [
        ("draft", set(), set(), None),
        ("requested", EVERYTHING, EVERYTHING, OPEN),
        ("accepted", EVERYTHING, set(), OPEN),
        ("in-progress", EVERYTHING, set(), OPEN),
        ("on-hold", EVERYTHING, set(), OPEN),
        ("completed", EVERYTHING, set(), NOW + GRACE),
        ("failed", EVERYTHING, set(), NOW + GRACE),
        ("cancelled", EVERYTHING, set(), NOW + GRACE),
        ("rejected", {("Task/t", 0)}, set(), NOW + GRACE),
        ("entered-in-error", set(), set(), None),
    ],
)
def test_what_each_state_shows(status, owner, candidate, owner_ends):
    """R5, line 15: drafts show nothing, a claim ends the others, an ended referral stays for the grace."""
    found = shares(write(task(status, "pantry", ("pantry", "meals"))))
    assert shown(found, "pantry") == owner
    assert shown(found, "meals") == candidate
    assert {one.ends for one in found if one.org == org("pantry")} == ({owner_ends} if owner_ends else set())
    assert shown(found, "clinic", 1 << 50) == (set() if status == "entered-in-error" else {("Task/t", 0)})
    assert {one.source for one in found} <= {TASK}


def test_a_request_that_was_taken_back():
    """R5: cancelled before anybody accepted, it shows the Task alone; cancelled later, all of it for the grace."""
    for status, expected in (("requested", {("Task/t", 0)}), ("accepted", EVERYTHING)):
        before = task(status, "pantry")
        found = shares(write(before | {"status": "cancelled"}, before), shares(write(before)))
        assert shown(found, "pantry") == expected
        assert shown(found, "pantry", NOW + GRACE) == set()


def test_masks_follow_the_law_class():
    """R7: ordinary information for a community organization or one of unknown class; the defaults for a covered one."""
    found = shares(write(task(owner="pantry", candidates=("unheard-of",))))
    assert {one.mask for one in found if one.org == org("pantry")} == {0}
    assert {one.mask for one in found if one.org == org("unheard-of")} == {0}
    assert {one.mask for one in found if one.org == org("clinic")} == {DEFAULT}


def test_a_requester_shares_only_what_it_may():
    """R5, L23: what is not shareable is left out; the Task itself always travels."""
    found = shares(write(task(owner="pantry")), shareable={rh("ServiceRequest/s")})
    assert shown(found, "pantry") == {("Task/t", 0), ("ServiceRequest/s", 0)}


def test_a_patient_is_never_shared_whole():
    sneaky = task(owner="pantry", input=[{"valueReference": {"reference": "Patient/p"}}])
    assert ("Patient/p", 0) not in shown(shares(write(sneaky)), "pantry")


def test_the_other_side_adds_nothing():
    """L23: what the ServiceRequest lists since then is not shown because the performer writes; it is still claimed."""
    before = task("requested", candidates=("pantry", "meals"), input=[])
    first = shares(replace(write(before), focus={}))
    after = before | {"status": "accepted", "owner": {"reference": "Organization/pantry"}}
    found = shares(write(after, before, "pantry"), first)
    assert shown(found, "pantry") == {("Task/t", 0), ("ServiceRequest/s", 0), ("Patient/p", 1)}
    assert shown(found, "meals") == set()
    assert shown(shares(write(after, before, "clinic"), first), "pantry") == EVERYTHING - {("Observation/o", 0)}


def test_what_is_shown_hangs_on_who_passed_it_on_last():
    """R5: the Task and the contact view hang on nobody's right; the rest on that of who wrote it, of those who may."""
    before = task("requested", owner="pantry")
    first = shares(write(before))
    givers = {(row.target, row.view): row.giver for row in first if row.org == org("pantry")}
    assert givers[TASK, 0] == givers[rh("Patient/p"), 1] == 0
    assert {giver for (target, view), giver in givers.items() if target != TASK and not view} == {org("clinic")}
    after = before | {"status": "accepted"}
    kept = shares(write(after, before, "pantry"), first)
    assert {row.giver for row in kept} == {0, org("clinic")}
    taken_up = before | {"requester": {"reference": "Organization/plan"}}
    again = shares(write(taken_up, before | {"requester": {"reference": "Organization/plan"}}, "plan"), kept)
    assert {row.giver for row in again} == {0, org("plan")}


@pytest.mark.parametrize(
    "changes",
    [
        {"requester": {"reference": "Organization/pantry"}},
        {"for": {"reference": "Patient/other"}},
        {"focus": {"reference": "CarePlan/x"}},
        {"input": [{"valueReference": {"reference": "Patient/other"}}]},
        {"partOf": [{"reference": "Task/x"}]},
        {"owner": {"reference": "Organization/meals"}},
        {"restriction": {"recipient": [{"reference": "Organization/pantry"}, {"reference": "Organization/meals"}]}},
    ],
)
def test_the_other_side_does_not_change_what_is_shown_to_whom(changes):
    """L23: not even to be shared by the requester's next write, made in good faith."""
    before = task("requested", candidates=("pantry",))
    first = shares(write(before))
    with pytest.raises(BusinessRule, match=r"Task|Candidates"):
        shares(write(before | changes, before, "pantry"), first)
    assert shares(write(before | changes, before, "clinic"), first)


def test_the_other_side_may_leave():
    """A candidate that declines leaves the list; a deleted Task shows nothing."""
    before = task("requested", candidates=("pantry", "meals"))
    found = shares(write(task("requested", candidates=("meals",)), before, "pantry"), shares(write(before)))
    assert shown(found, "pantry") == set()
    assert shown(found, "meals") == EVERYTHING
    assert shares(write({}, before, "pantry")) == []


def test_the_requester_there_was_before_may_widen():
    before = task("requested", "pantry", requester={"reference": "Organization/meals"})
    assert on_requesters_side(write(task(), before, "meals"))
    assert on_requesters_side(write(task(), before, "clinic"))
    assert not on_requesters_side(write(task(requester={"reference": "Organization/pantry"}), before, "pantry"))
    assert not on_requesters_side(replace(write(task()), writer=org("pantry")))


def test_spans_keep_their_begin_and_never_grow_again():
    first = shares(write(task(owner="pantry")))
    done = shares(write(task("completed", "pantry"), task(owner="pantry"), "pantry", NOW + 10), first)
    assert {(one.begins, one.ends) for one in done if one.org == org("pantry")} == {(NOW, NOW + 10 + GRACE)}
    again = shares(write(task("completed", "pantry"), task("completed", "pantry"), "clinic", NOW + 20), done)
    assert {(one.begins, one.ends) for one in again if one.org == org("pantry")} == {(NOW, NOW + 10 + GRACE)}


def test_what_has_ended_does_not_begin_again_by_itself():
    first = shares(write(task("completed", "pantry")))
    done = task("completed", "pantry")
    later = write(done, done, "pantry", NOW + GRACE)
    assert shown(shares(later, first), "pantry", NOW + GRACE) == set()


def test_roles_are_resolved_to_organizations():
    """SD-30: requester and owner may be a PractitionerRole."""
    roles = {"PractitionerRole/r": "Organization/pantry"}
    what = write(task(owner=None) | {"owner": {"reference": "PractitionerRole/r"}})
    found = shares_of_task(what, CAN, lambda _: 0, (), roles.get)
    assert org("pantry") in {one.org for one in found}
    unresolved = shares_of_task(what, CAN, lambda _: 0)
    assert unresolved == [Share(org("clinic"), TASK, 0, 0, NOW, OPEN, TASK)]
