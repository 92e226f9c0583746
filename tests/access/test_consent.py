"""A Consent read as directives (R6, R8, R16)."""

from zoneinfo import ZoneInfo

import pytest

from fhir_server.access.classes import ALL, BH, HIV, OPEN, SENSITIVE, START, SUD2
from fhir_server.access.consent import directives_of
from fhir_server.fhir.errors import BusinessRule
from fhir_server.fhir.values import parse_date
from fhir_server.store.hashing import rh
from tests.access.scene import org

ZONE = ZoneInfo("America/Los_Angeles")
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
LISTED = {("urn:list", "opioid"): SUD2}


def label(code: str, system: str = ACT_CODE) -> dict[str, str]:
    return {"system": system, "code": code}


def actor(reference: str, role: str = "IRCP") -> dict:
    return {"role": {"coding": [{"code": role}]}, "reference": {"reference": reference}}


def purpose(code: str, system: str = ACT_REASON) -> dict[str, str]:
    return {"system": system, "code": code}


def consent(provision=None, **more):
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "patient": {"reference": "Patient/p"},
        **({"provision": provision} if provision is not None else {}),
        **more,
    }


def read(resource):
    return directives_of(resource, 5, ZONE, lambda system, code: LISTED.get((system, code), 0))


def brief(resource):
    return [(one.recipient, one.purpose, one.classes, one.effect) for one in read(resource)]


def test_a_deny_without_limits_is_about_everything_and_everyone():
    found = read(consent({"type": "deny"}))
    assert [one.values for one in found] == [(rh("Patient/p"), 0, "", ALL, "deny", START, OPEN, 5, 0)]


@pytest.mark.parametrize("status", ["draft", "proposed", "rejected", "inactive", "entered-in-error"])
def test_only_an_active_consent_counts(status):
    """R8, line 21: draft and revoked count as absent."""
    assert read(consent({"type": "deny"}, status=status)) == []


@pytest.mark.parametrize("scope", ["treatment", "research", "adr"])
def test_a_declined_service_is_no_deny_of_sharing(scope):
    """R16: a decline ends services and is not a data-sharing deny unless recorded as one."""
    assert read(consent({"type": "deny"}, scope={"coding": [{"code": scope}]})) == []
    assert read(consent({"type": "deny"}, scope={"text": "something"})) != []


def test_a_consent_about_nobody_here_says_nothing():
    assert read(consent({"type": "deny"}, patient={"reference": "https://elsewhere.example/Patient/p"})) == []


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        pytest.param({"securityLabel": [label("HIV")]}, HIV, id="label"),
        pytest.param({"securityLabel": [label("HIV"), label("PSY")]}, HIV | BH, id="two-labels"),
        pytest.param({"securityLabel": [label("WHATEVER")]}, ALL, id="unknown-label"),
        pytest.param({"securityLabel": [label("HIV"), label("WHATEVER")]}, ALL, id="one-label-unknown"),
        pytest.param({"securityLabel": [label("NORDSCLCD")]}, ALL, id="handling-code"),
        pytest.param(
            {"securityLabel": [label("R", CONFIDENTIALITY)]},
            SENSITIVE,
            id="restricted",
        ),
        pytest.param(
            {"securityLabel": [label("N", CONFIDENTIALITY)]},
            ALL,
            id="normal",
        ),
        pytest.param({"code": [{"coding": [label("opioid", "urn:list")]}]}, SUD2, id="listed-code"),
        pytest.param({"code": [{"coding": [label("other", "urn:list")]}]}, ALL, id="unlisted-code"),
        pytest.param({"code": [{"text": "anything"}]}, ALL, id="code-without-coding"),
        pytest.param({"class": [label("Condition", "urn:types")]}, ALL, id="a-type-cannot-be-told-apart"),
        pytest.param({"dataPeriod": {"start": "2020"}}, ALL, id="a-time-cannot-be-told-apart"),
        pytest.param({"class": [label("Condition")], "securityLabel": [label("HIV")]}, HIV, id="known-limit-bounds"),
    ],
)
def test_a_deny_is_read_as_widely_as_it_could_be_meant(limits, expected):
    """R8: a deny needs no formal elements; what cannot be applied withholds more, never less."""
    assert [classes for _, _, classes, _ in brief(consent({"type": "deny", **limits}))] == [expected]


@pytest.mark.parametrize(
    ("actors", "expected"),
    [
        ([actor("Organization/a"), actor("Organization/b", "PRCP")], {org("a"), org("b")}),
        ([actor("Organization/a", "CST")], {0}),
        ([actor("Practitioner/x")], {0}),
        ([actor("Organization/a"), actor("Group/x")], {0}),
        ([actor("https://elsewhere.example/Organization/a")], {0}),
        ([actor("RelatedPerson/ex")], set()),
        ([actor("RelatedPerson/ex"), actor("Organization/a")], {org("a")}),
    ],
)
def test_recipients_of_a_deny(actors, expected):
    assert {recipient for recipient, *_ in brief(consent({"type": "deny", "actor": actors}))} == expected


@pytest.mark.parametrize(
    ("purposes", "expected"),
    [
        ([purpose("TREAT")], {"TREAT"}),
        ([purpose("HOPERAT")], {"HOPERAT", "CAREMGT"}),
        ([purpose("COC"), purpose("HPAYMT")], {"TREAT", "CAREMGT", "HPAYMT"}),
        ([purpose("HMARKT")], {"HMARKT"}),
        ([purpose("PurposeOfUse"), purpose("TREAT")], {""}),
        ([purpose("NEVERHEARD")], {""}),
        ([purpose("TREAT", "urn:other")], {""}),
    ],
)
def test_purposes_of_a_deny(purposes, expected):
    assert {one for _, one, *_ in brief(consent({"type": "deny", "purpose": purposes}))} == expected


def test_periods_nest():
    """R8: only inside the period, and a nested provision only inside its root's."""
    inner = {"type": "deny", "period": {"start": "2025-06-01", "end": "2027"}, "securityLabel": [label("HIV")]}
    outside = {"type": "deny", "period": {"end": "2025-01-01"}}
    root = {"type": "permit", "period": {"start": "2026-01-01", "end": "2026-12-31"}, "provision": [inner, outside]}
    found = [one for one in read(consent(root)) if one.effect == "deny"]
    first, last = parse_date("2026-01-01", ZONE)[0], parse_date("2026-12-31", ZONE)[1]
    assert [(one.begins, one.ends, one.classes) for one in found] == [(first, last, HIV)]


def test_a_root_without_type_is_what_its_policy_says():
    """R4 leaves the type to nested provisions: an exception to opting in is a deny; opting out denies all."""
    opted_out = {"policyRule": {"coding": [{"code": "OPTOUT"}]}}
    limited = {"actor": [actor("Organization/a")]}
    assert brief(consent(**opted_out)) == [(0, "", ALL, "deny")]
    assert brief(consent(limited, **opted_out)) == [(0, "", ALL, "deny")]
    assert brief(consent(limited)) == [(org("a"), "", ALL, "deny")]
    assert brief(consent({"provision": [{"type": "permit"}]})) == [(0, "", ALL, "permit")]
    assert brief(consent({"provision": [{"actor": [actor("Organization/a")]}]})) == [(org("a"), "", ALL, "deny")]
    assert brief(consent()) == []


def test_permits_are_kept_as_narrow_as_they_could_be_meant():
    """R6: inert for now; a limit that cannot be applied must not be lost into a wider permit."""
    found = brief(consent({"type": "permit", "actor": [actor("Organization/a")], "securityLabel": [label("ETH")]}))
    assert found == [(org("a"), "", SUD2, "permit")]
    assert brief(consent({"type": "permit", "class": [label("Condition")]})) == [(0, "", 0, "permit")]
    assert brief(consent({"type": "permit", "actor": [actor("Practitioner/x")]})) == []
    assert brief(consent({"type": "permit", "purpose": [purpose("COC")]})) == [(0, "COC", ALL, "permit")]
    assert brief(consent({"type": "permit", "purpose": [purpose("PurposeOfUse")]})) == [(0, "", ALL, "permit")]


def test_a_consent_cannot_flood_the_table():
    many = [actor(f"Organization/{number}") for number in range(1001)]
    with pytest.raises(BusinessRule, match="at most 1000"):
        read(consent({"type": "deny", "actor": many}))


def test_rows_are_numbered():
    found = read(consent({"type": "deny", "actor": [actor("Organization/a"), actor("Organization/b")]}))
    assert [one.ordinal for one in found] == [0, 1]
