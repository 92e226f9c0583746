"""Who may change what (R12)."""

import pytest

from fhir_server.access.writes import Facts, may_write
from tests.access.scene import caller, org

ME, OTHER = org("me"), org("other")


def facts(*kinds: str, party: bool = False) -> Facts:
    return Facts(lambda: frozenset(kinds), lambda: party)


def fail():
    raise AssertionError("a fact was looked up that the decision does not need")


UNASKED = Facts(fail, fail)


@pytest.mark.parametrize(
    ("type_", "letter", "owner", "about", "allowed"),
    [
        pytest.param("Condition", "c", None, UNASKED, True, id="anyone-writes-its-own"),
        pytest.param("Condition", "u", ME, UNASKED, True, id="owner"),
        pytest.param("Condition", "d", ME, UNASKED, True, id="owner-deletes"),
        pytest.param("Condition", "u", OTHER, UNASKED, False, id="not-the-owner"),
        pytest.param("Organization", "u", OTHER, UNASKED, False, id="directory-belongs-to-its-writer"),
        pytest.param("Task", "u", OTHER, facts(party=True), True, id="task-by-its-side"),
        pytest.param("Task", "u", OTHER, facts("assigned"), False, id="task-by-a-bystander"),
        pytest.param("Task", "d", OTHER, UNASKED, False, id="task-deleted-by-the-other-side"),
        pytest.param("CarePlan", "u", OTHER, facts("assigned"), True, id="careplan-by-assigned-provider"),
        pytest.param("CarePlan", "u", OTHER, facts("care-team", "plan"), False, id="careplan-by-care-team"),
        pytest.param("Goal", "u", OTHER, facts("assigned"), True, id="goal"),
        pytest.param("CareTeam", "u", OTHER, facts("assigned"), True, id="careteam"),
        pytest.param("CareTeam", "d", OTHER, UNASKED, False, id="careteam-deleted"),
        pytest.param("Consent", "c", None, facts("care-team"), True, id="consent-with-relation"),
        pytest.param("Consent", "c", None, facts("owner"), True, id="consent-of-own-patient"),
        pytest.param("Consent", "c", None, facts(), False, id="consent-of-a-stranger"),
        pytest.param("Consent", "u", OTHER, facts("assigned"), True, id="consent-revoked-elsewhere"),
        pytest.param("Consent", "u", OTHER, facts(party=True), False, id="consent-by-referral-partner"),
        pytest.param("Consent", "u", ME, UNASKED, True, id="consent-of-its-author"),
        pytest.param("Consent", "d", OTHER, UNASKED, False, id="consent-deleted-elsewhere"),
    ],
)
def test_who_may_write(type_, letter, owner, about, allowed):
    decision = may_write(caller("me"), type_, owner, about, letter)
    assert bool(decision) is allowed
    assert bool(decision.reason) is not allowed


@pytest.mark.parametrize("who", [caller("me", operator=True), caller("me", purpose="HLEGAL")])
def test_without_a_clinical_purpose_only_the_directory_is_written(who):
    """Line 31, R9."""
    assert not may_write(who, "Condition", None, UNASKED, "c")
    assert not may_write(who, "Consent", ME, UNASKED)
    assert may_write(who, "Organization", None, UNASKED, "c")


def test_nothing_is_known_unless_said():
    assert Facts().kinds() == frozenset()
    assert not Facts().party()


def test_what_a_guest_guards_the_assigned_provider_may_update():
    """R12: the types that a guest names, updates alone, and the provider assigned now alone."""
    asked = ("Patient", OTHER)
    assert may_write(caller("me"), *asked, facts("assigned"), "u", {"Patient"})
    assert not may_write(caller("me"), *asked, facts("assigned"), "u")
    assert not may_write(caller("me"), *asked, facts("care-team", "plan"), "u", {"Patient"})
    assert not may_write(caller("me"), *asked, UNASKED, "d", {"Patient"})
