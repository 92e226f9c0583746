"""The members: diverse, stable, in families, and believable."""

import re
from collections import Counter
from datetime import date

import pytest

from seed import world
from seed.generate import members
from seed.members import Member, age, member

AS_OF = date(2026, 9, 1)


@pytest.fixture(scope="module")
def people() -> list[Member]:
    return members(7, AS_OF, 300)


def test_a_member_does_not_depend_on_how_many_there_are(people: list[Member]) -> None:
    assert [member(7, index, AS_OF) for index in (0, 17, 299)] == [people[0], people[17], people[299]]
    assert member(8, 0, AS_OF) != people[0]


def test_identifiers_are_unique(people: list[Member]) -> None:
    for name in ("cin", "member_id", "authorization"):
        assert len({getattr(one, name) for one in people}) == 300


def test_names_are_diverse(people: list[Member]) -> None:
    names = [one.name for one in people]
    assert any(not one.isascii() for one in names)
    assert any("'" in one for one in names)
    assert any("-" in one for one in names)
    assert any(not one.given for one in people), "people with one name only"
    assert {"es", "hmn", "vi", "hy", "en"} <= {one.language for one in people}
    assert {"female", "male", "other"} == {one.gender for one in people}


def test_some_have_no_address_and_no_phone(people: list[Member]) -> None:
    assert sum(not one.line for one in people) > 20
    assert sum(not one.phone for one in people) > 20
    assert any(one.homeless and not one.line and not one.phone for one in people)
    assert all(one.zip or one.homeless for one in people)


def test_every_population_of_focus_is_there_and_some_have_several(people: list[Member]) -> None:
    found = Counter(focus for one in people for focus in one.focus)
    assert set(found) == {
        "homeless-individuals",
        "homeless-families",
        "avoidable-hospital-ed",
        "smh-sud",
        "incarceration-transition",
        "ltc-risk",
        "nursing-facility-transition",
        "ccs-additional-needs",
        "child-welfare",
        "birth-equity",
    }
    assert sum(len(one.focus) > 1 for one in people) > 20


def test_populations_fit_the_person(people: list[Member]) -> None:
    """The criteria that age decides: children's and adults' Populations of Focus, Policy Guide 2.1."""
    for one in people:
        youth = {"ccs-additional-needs", "child-welfare"} & set(one.focus)
        assert not youth or age(one.birth, AS_OF) < 21, one
        assert "ltc-risk" not in one.focus or age(one.birth, AS_OF) > 50, one
        if "birth-equity" in one.focus:
            assert one.gender == "female"
            assert one.race in ("2054-5", "1002-5", "2076-8")


def test_families_share_name_address_and_provider(people: list[Member]) -> None:
    homes: dict[int, list[Member]] = {}
    for one in people:
        homes.setdefault(one.household, []).append(one)
    families = [home for home in homes.values() if len(home) > 1]
    assert len(families) == 20
    for parent, *children in families:
        assert len(children) == 2
        for child in children:
            assert (child.family, child.line, child.plan, child.provider) == (
                parent.family,
                parent.line,
                parent.plan,
                parent.provider,
            )
            assert 15 < age(parent.birth, AS_OF) - age(child.birth, AS_OF) < 47
            assert child.guardian == parent.name


def test_dates_are_in_order(people: list[Member]) -> None:
    for one in people:
        assert one.birth < one.begins < one.ends
        assert one.begins <= one.assigned < AS_OF
        assert (one.ends > AS_OF) == one.live


def test_members_are_where_their_plan_and_provider_work(people: list[Member]) -> None:
    contracts = {(plan, provider.key) for provider in world.those("provider") for plan, _ in provider.plans}
    assert {(one.plan, one.provider) for one in people} == contracts
    cities = {plan.key: {city for city, *_ in world.places(plan.county)["cities"]} for plan in world.those("plan")}
    assert all(not one.city or one.city in cities[one.plan] for one in people)


def test_mail_addresses_go_nowhere(people: list[Member]) -> None:
    assert all(re.fullmatch(r"[a-z]+\d+@example\.org", one.email) for one in people if one.email)
