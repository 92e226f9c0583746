"""SQL search finds exactly what a plain filter over all stored resources finds, on both databases."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.laws import examples
from tests.search import oracle
from tests.search.oracle import Case, across
from tests.search.questions import question, question_across, question_within
from tests.search.stored import holding, planning
from tests.search.world import generate

STORED = generate(seed=20260301, count=400)
OTHER = 2  # who owns every second resource
SEEN = {-1: STORED, OTHER: STORED[::2]}  # by whose resources are hidden
HIDDEN = st.sampled_from(sorted(SEEN))
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.fixture(scope="module")
def world(module_database_url):
    with holding(module_database_url, STORED, 1, OTHER) as made:
        yield made


@pytest.fixture(scope="module", params=[(2000, 100), (3, 100), (2000, 0)], ids=["gather", "walk", "newest"])
def planned(world, request):
    """With small bounds every list counts as long: the plans of a big database run on a small one."""
    with planning(world, *request.param) as made:
        yield made


@settings(max_examples=examples(70), deadline=None, suppress_health_check=QUIET)
@given(asked=question(STORED), hidden=HIDDEN)
def test_sql_equals_plain_filter(planned, asked, hidden):
    """B-26, B-30 to B-37, B-40 to B-42, B-48, B-52: all types, modifiers, prefixes, OR, AND, chains and _has.

    For whom half of it is hidden, the answer is that of a store without that half, at every step.
    """
    kind, cases = asked
    pairs = [(case.name, case.value) for case in cases] + [("_count", "200")]
    found = [hit.fid for hit in planned.page(kind, pairs, hidden).hits]
    assert found == oracle.matching(SEEN[hidden], kind, cases)[::-1], pairs


@settings(max_examples=examples(15), deadline=None, suppress_health_check=QUIET)
@given(asked=question_across(STORED), hidden=HIDDEN, size=st.sampled_from(["3", "200"]))
def test_several_types_at_once(planned, asked, hidden, size):
    """B-51: parameters that all the types share; every page, in one order."""
    types, cases = asked
    pairs = [(case.name, case.value) for case in cases] + [("_count", size)]
    pairs += [("_type", ",".join(types))] if types else []
    pages = planned.pages("", pairs, hidden)
    assert [hit.fid for page in pages for hit in page.hits] == across(SEEN[hidden], types, cases), pairs


@settings(max_examples=examples(15), deadline=None, suppress_health_check=QUIET)
@given(asked=question_within(STORED), hidden=HIDDEN)
def test_compartments(planned, asked, hidden):
    """B-50: the union of the definition's parameters, and Tasks by whom they are for; seen or not, who it is about."""
    patient, kind, cases = asked
    pairs = [(case.name, case.value) for case in cases] + [("_count", "200")]
    found = [hit.fid for hit in planned.page(kind, pairs, hidden, f"Patient/{patient}").hits]
    types = (kind,) if kind else ()
    expected = across(SEEN[hidden], types, [*cases, Case("", "", oracle.in_record(patient))])
    assert found == expected, pairs


@settings(max_examples=examples(15), deadline=None, suppress_health_check=QUIET)
@given(asked=question(STORED), size=st.integers(1, 7))
def test_pages_and_totals(planned, asked, size):
    """B-45, B-47: pages joined are the whole, without gaps or repeats, and the accurate total counts it."""
    kind, cases = asked
    pairs = [(case.name, case.value) for case in cases]
    expected = oracle.matching(STORED, kind, cases)
    pages = planned.pages(kind, [*pairs, ("_count", str(size)), ("_total", "accurate")])
    assert [hit.fid for page in pages for hit in page.hits] == expected[::-1]
    assert {page.total for page in pages} == {len(expected)}
    back = planned.back(pages[-1])
    assert [page.hits for page in back] == [page.hits for page in pages[-2::-1]]
    if back:
        assert planned.follow(back[0].next_token).hits == pages[-1].hits
    counted = planned.page(kind, [*pairs, ("_summary", "count")])
    assert (counted.total, counted.hits) == (len(expected), ())


def test_questions_find_something(planned):
    """B-35, B-42: what the comparison asks is not all empty."""
    assert len(planned.ids("Patient", "family=munoz")) > 2
    assert len(planned.ids("Patient", "family=o'brien")) > 2
    assert len(planned.ids("Task", "focus:CarePlan.status=active")) > 2
    assert len(planned.ids("CarePlan", "_has:Task:focus:status=draft")) > 2
    assert len(planned.ids("Task", "_content=weekly plan")) > 2
    assert len(planned.ids("Patient", "_text=JOSE and (plan or o'brien)")) > 2
    assert len(planned.ids("Task", '_filter=patient.family sw "Mu" or not (status eq draft)')) > 2
