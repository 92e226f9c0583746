"""Relations from Coverage, CareTeam and rosters, and what follows from them."""

from zoneinfo import ZoneInfo

import pytest

from fhir_server.access.classes import ALL, BH, HIV, OPEN, START
from fhir_server.access.consequences import consequences, effective, live_kinds, run_outs
from fhir_server.access.law import standard
from fhir_server.access.relations import (
    Directive,
    Inputs,
    Rel,
    RunOut,
    from_care_team,
    from_coverage,
    local,
    member_rel,
    roster_share,
    span,
)
from fhir_server.fhir.values import parse_date
from fhir_server.store.hashing import rh
from tests.access.scene import DEFAULT, org

ZONE = ZoneInfo("America/Los_Angeles")
PATIENT = rh("Patient/p")


def ms(text: str) -> int:
    return parse_date(text, ZONE)[0]


def coverage(**more):
    return {
        "resourceType": "Coverage",
        "status": "active",
        "beneficiary": {"reference": "Patient/p"},
        "payor": [{"reference": "Organization/plan"}],
        **more,
    }


def test_an_active_coverage_makes_its_payor_the_plan():
    period = {"start": "2026-01-01", "end": "2026-03-31"}
    found = from_coverage(coverage(period=period), 5, ZONE)
    assert found == [Rel(PATIENT, org("plan"), "plan", ms("2026-01-01"), ms("2026-04-01"), 5)]
    assert from_coverage(coverage(), 5, ZONE)[0].values == (PATIENT, org("plan"), "plan", START, OPEN, 5, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "draft"},
        {"status": "entered-in-error"},
        {"status": "cancelled"},
        {"status": "cancelled", "period": {"start": "2026-01-01"}},
        {"payor": [{"reference": "Patient/p"}]},
        {"payor": [{"reference": "https://elsewhere.example/Organization/plan"}]},
        {"beneficiary": {"reference": "#contained"}},
        {"period": {"start": "2026-02-01", "end": "2026-01-01"}},
    ],
)
def test_what_gives_no_plan_relation(changes):
    assert from_coverage(coverage(**changes), 5, ZONE) == []


def test_a_cancelled_coverage_keeps_its_span_to_its_end():
    """An ended Coverage (cancelled with period.end) still tells who the plan was until then."""
    found = from_coverage(coverage(status="cancelled", period={"end": "2026-01-31"}), 5, ZONE)
    assert [rel.ends for rel in found] == [ms("2026-02-01")]


def team(*participants, **more):
    return {
        "resourceType": "CareTeam",
        "status": "active",
        "subject": {"reference": "Patient/p"},
        "participant": list(participants),
        **more,
    }


def organization(name: str) -> dict[str, str]:
    return {"reference": f"Organization/{name}"}


def test_a_care_team_names_organizations_each_in_its_own_period():
    found = from_care_team(
        team(
            {"member": organization("a"), "period": {"start": "2026-02-01"}},
            {"member": {"reference": "PractitionerRole/x"}, "onBehalfOf": organization("b")},
            {"member": {"reference": "PractitionerRole/y"}},
            {"member": organization("late"), "period": {"start": "2027-01-01"}},
            managingOrganization=[organization("c")],
            period={"start": "2026-01-01", "end": "2026-12-31"},
        ),
        9,
        ZONE,
    )
    begins = {rel.org: rel.begins for rel in found}
    assert begins == {org("a"): ms("2026-02-01"), org("b"): ms("2026-01-01"), org("c"): ms("2026-01-01")}
    assert {rel.ends for rel in found} == {ms("2027-01-01")}


@pytest.mark.parametrize("status", ["proposed", "suspended", "inactive", "entered-in-error", None])
def test_a_care_team_that_is_not_active_names_nobody(status):
    assert from_care_team(team({"member": organization("a")}, status=status), 9, ZONE) == []


def test_one_row_for_an_organization_named_twice():
    """The key of the table is (patient, organization, kind, source, begin)."""
    twice = team({"member": organization("a")}, {"member": organization("a"), "period": {"end": "2026-01-01"}})
    assert [rel.ends for rel in from_care_team(twice, 9, ZONE)] == [OPEN]


def test_another_writer_adds_nobody_to_a_care_team():
    """R12: a provider that may edit the plan's team cannot name itself or a partner there, nor lengthen a span."""
    before = [Rel(PATIENT, org("a"), "care-team", ms("2026-01-01"), ms("2026-06-01"), 9)]
    resource = team({"member": organization("a")}, {"member": organization("self")})
    found = from_care_team(resource, 9, ZONE, by_owner=False, previous=before)
    assert found == before
    assert from_care_team(team(), 9, ZONE, by_owner=False, previous=before) == []


def test_rosters():
    assert member_rel(1, 2, 3, 4, 5) == Rel(2, 3, "assigned", 4, 5, 1, stays=1)
    assert member_rel(1, 2, 3, 4, 5, stays=False) == Rel(2, 3, "assigned", 4, 5, 1)
    assert roster_share(1, 3, DEFAULT).values == (3, 1, 0, DEFAULT, START, OPEN, 1, 0)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("Patient/p", "Patient/p"),
        ("Patient/p/_history/3", "Patient/p"),
        ("#p", None),
        ("urn:uuid:1", None),
        ("https://elsewhere.example/Patient/p", None),
        ("Patient?identifier=1", None),
        (7, None),
        (None, None),
    ],
)
def test_local_references(reference, expected):
    assert local({"reference": reference}) == expected
    assert local({"reference": reference}, "Organization") is None
    assert local(None) is None


def test_spans_are_whole_days():
    assert span(None, ZONE) == (START, OPEN)
    assert span({"start": "2026", "end": "2026-01"}, ZONE) == (ms("2026-01-01"), ms("2026-02-01"))


# ---- who may give which relation ---------------------------------------------------------------------------------


def rel(name: str, kind: str, by: str, begins: int = 0, ends: int = 100) -> Rel:
    return Rel(PATIENT, org(name), kind, begins, ends, 1, org(by))


def spans(*rels: Rel) -> set[tuple[int, str, int, int]]:
    return {tuple(one) for one in effective(Inputs(PATIENT, org("owner"), rels))}


def test_the_owner_of_the_patient_may_give_any_relation():
    given = [rel("a", kind, "owner") for kind in ("plan", "assigned", "care-team")]
    assert {kind for _, kind, _, _ in spans(*given)} == {"plan", "assigned", "care-team"}


@pytest.mark.parametrize("kind", ["plan", "assigned", "care-team"])
def test_nobody_gives_itself_a_relation(kind):
    """R12: a stranger's Coverage, roster or CareTeam about somebody else's patient has no effect."""
    assert spans(rel("a", kind, "a")) == set()
    assert spans(rel("a", kind, "a")._replace(grantor=None)) == set()


def test_a_plan_may_assign_and_name_a_team_while_it_is_the_plan():
    found = spans(rel("plan", "plan", "owner", 10, 50), rel("a", "assigned", "plan"), rel("b", "care-team", "plan", 20))
    assert (org("a"), "assigned", 10, 50) in found
    assert (org("b"), "care-team", 20, 50) in found


def test_a_provider_may_name_a_team_but_not_assign_or_insure():
    """Whom a provider brought in leaves with the provider."""
    given = [rel("a", "assigned", "owner", 0, 50)]
    given += [rel("b", kind, "a", 20) for kind in ("care-team", "assigned", "plan")]
    assert spans(*given) == {(org("a"), "assigned", 0, 50), (org("b"), "care-team", 20, 50)}


def test_a_member_of_a_team_names_nobody():
    assert spans(rel("a", "care-team", "owner"), rel("b", "care-team", "a")) == {(org("a"), "care-team", 0, 100)}


def test_only_assignments_by_the_owner_that_end_run_out():
    """One that was opened by mistake has none; one that was ended in retrospect runs out from when that was said."""
    ended = rel("a", "assigned", "owner", 10, 20)._replace(stays=1)
    told_late = rel("b", "assigned", "owner", 10, 20)._replace(stays=1, recorded=30)
    other = [ended._replace(stays=0), ended._replace(kind="care-team"), ended._replace(grantor=org("a"))]
    other += [ended._replace(ends=OPEN), ended._replace(begins=20), ended._replace(grantor=None)]
    found = run_outs(Inputs(PATIENT, org("owner"), [ended, told_late, *other]))
    assert found == [RunOut(PATIENT, org("a"), 10, 20, 20), RunOut(PATIENT, org("b"), 10, 20, 30)]
    twice = run_outs(Inputs(PATIENT, org("owner"), [ended, ended._replace(source=2, recorded=25)]))
    assert twice == [RunOut(PATIENT, org("a"), 10, 20, 25)]


def test_live_kinds():
    given = Inputs(PATIENT, org("owner"), [rel("a", "assigned", "owner", 10, 20), rel("a", "care-team", "owner")])
    assert live_kinds(given, org("a"), 10) == {"assigned", "care-team"}
    assert live_kinds(given, org("a"), 20) == {"care-team"}
    assert live_kinds(given, org("owner"), 10) == {"owner"}


# ---- consequences ------------------------------------------------------------------------------------------------


def deny(classes: int = ALL, to: int = 0, purpose: str = "", begins: int = 0, ends: int = 100) -> Directive:
    return Directive(PATIENT, to, purpose, classes, "deny", begins, ends, 1, 0)


def rows(rels, directives=(), law_class="covered"):
    inputs = Inputs(PATIENT, org("owner"), rels, directives)
    found = consequences(inputs, standard(), lambda _: law_class)
    return sorted((span.purpose, span.mask, span.begins, span.ends) for span in found)


def test_one_row_stands_for_all_purposes_that_agree():
    assert rows([rel("a", "plan", "owner", 10, 50)]) == [("", DEFAULT, 10, 50)]


def test_relations_that_touch_make_one_span():
    assert rows([rel("a", "plan", "owner", 0, 50), rel("a", "assigned", "owner", 50, 90)]) == [("", DEFAULT, 0, 90)]


def test_denies_cut_time_and_classes():
    """R6: time-sliced and never overlapping, so that expiry needs no job."""
    found = rows([rel("a", "plan", "owner")], [deny(BH, begins=10, ends=30), deny(HIV, begins=20, ends=40)])
    assert sorted(found, key=lambda row: row[2]) == [
        ("", DEFAULT, 0, 10),
        ("", DEFAULT & ~BH, 10, 20),
        ("", DEFAULT & ~(BH | HIV), 20, 30),
        ("", DEFAULT & ~HIV, 30, 40),
        ("", DEFAULT, 40, 100),
    ]


def test_a_deny_of_everything_leaves_no_row():
    assert rows([rel("a", "plan", "owner")], [deny(begins=20, ends=30)]) == [
        ("", DEFAULT, 0, 20),
        ("", DEFAULT, 30, 100),
    ]
    assert rows([rel("a", "plan", "owner")], [deny(to=org("a"))]) == []
    assert rows([rel("a", "plan", "owner")], [deny(to=org("b"))]) == [("", DEFAULT, 0, 100)]


def test_a_deny_for_one_purpose_splits_the_purposes():
    found = rows([rel("a", "plan", "owner")], [deny(purpose="TREAT")])
    assert [purpose for purpose, *_ in found] == ["CAREMGT", "HOPERAT", "HPAYMT"]


@pytest.mark.parametrize("law_class", ["non-hipaa", None, "anything"])
def test_an_organization_outside_hipaa_gets_nothing_by_relation(law_class):
    """R7: a community organization in a CareTeam sees nothing by it; an unknown law class is no law class."""
    assert rows([rel("a", "care-team", "owner")], law_class=law_class) == []
