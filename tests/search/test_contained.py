"""Searches among contained resources: SQL finds what a plain filter finds, in the view of what contains them."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.fhir.errors import BadValue, NotSupported
from fhir_server.search.query import parse
from tests.laws import examples
from tests.search import oracle
from tests.search.oracle import Case, Resource, Stored
from tests.search.questions import question
from tests.search.stored import DEFINITIONS, Everything, holding, planning
from tests.search.world import generate

OTHER = 2  # who owns every second container
HIDDEN = st.sampled_from([-1, OTHER])
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]
WAYS = st.sampled_from([(kind, answer) for kind in ("true", "both") for answer in ("container", "contained")])


def containers() -> Stored:
    """Generated resources, of which the later ones are contained in the earlier ones, up to three in one."""
    made, rng = generate(seed=20261122, count=360), random.Random(8)
    whole, inner = made[:200], made[200:]
    for one in inner:
        one.pop("text", None)  # a contained resource has no narrative, as a rule; the container's words are without it
        rng.choice(whole[::2] + whole[:30]).setdefault("contained", []).append(one)
    return whole


STORED = containers()
SEEN = {-1: STORED, OTHER: STORED[::2]}  # by whose resources are hidden
INNER = [inner for one in STORED for inner in one.get("contained", ())]
EACH = [{name: value for name, value in one.items() if name != "contained"} for one in (*STORED, *INNER)]


@pytest.fixture(scope="module")
def world(module_database_url):
    with holding(module_database_url, STORED, 1, OTHER) as made:
        yield made


@pytest.fixture(scope="module", params=[2000, 3], ids=["few", "many"])
def planned(world, request):
    """With a small bound every list counts as long, and so do the contained resources of every type."""
    with planning(world, request.param) as made:
        yield made


def expected(seen: Stored, kind: str, cases: list[Case], contained: str, answer: str) -> list[str]:
    """The ids of the answers, oldest first, by a plain filter."""

    def fits(one: Resource) -> bool:
        return one["resourceType"] == kind and all(case.holds(seen, one) for case in cases)

    found: list[str] = []
    for one in seen:
        inner = [part["id"] for part in one.get("contained", ()) if fits(part)]
        own = contained == "both" and fits(one)
        if answer == "container":
            found += [one["id"]] if own or inner else []
        else:
            found += [one["id"]] * own + inner
    return found


@settings(max_examples=examples(40), deadline=None, suppress_health_check=QUIET)
@given(asked=question(EACH), hidden=HIDDEN, way=WAYS)
def test_sql_equals_plain_filter(planned, asked, hidden, way):
    """B-48: every kind of parameter; what is contained in what is hidden is not there."""
    kind, cases = asked
    pairs = [(case.name, case.value) for case in cases]
    pairs += [("_contained", way[0]), ("_containedType", way[1]), ("_count", "200")]
    found = [hit.fid for hit in planned.page(kind, pairs, hidden).hits]
    assert found == expected(SEEN[hidden], kind, cases, *way)[::-1], pairs


@settings(max_examples=examples(12), deadline=None, suppress_health_check=QUIET)
@given(
    asked=question(EACH), hidden=HIDDEN, way=WAYS, size=st.integers(1, 7), sort=st.sampled_from(["", "_lastUpdated"])
)
def test_pages_and_totals(planned, asked, hidden, way, size, sort):
    """B-45, B-47: pages joined are the whole, backwards too, and the accurate total counts it: containers once each."""
    kind, cases = asked
    pairs = [(case.name, case.value) for case in cases]
    pairs += [("_contained", way[0]), ("_containedType", way[1])] + ([("_sort", sort)] if sort else [])
    wanted = expected(SEEN[hidden], kind, cases, *way)
    pages = planned.pages(kind, [*pairs, ("_count", str(size)), ("_total", "accurate")], hidden)
    found = [hit.fid for page in pages for hit in page.hits]
    assert (sorted(found) if sort else found[::-1]) == (sorted(wanted) if sort else wanted), pairs
    times = [hit.ts for page in pages for hit in page.hits]
    assert not sort or times == sorted(times)
    assert {page.total for page in pages} == {len(wanted)}
    assert [page.hits for page in planned.back(pages[-1], hidden)] == [page.hits for page in pages[-2::-1]]
    assert planned.page(kind, [*pairs, ("_summary", "count")], hidden).total == len(wanted)


def test_questions_find_something(planned):
    """What the comparison asks is not all empty."""
    assert len(planned.ids("Patient", "family=munoz&_contained=true")) > 2
    assert len(planned.ids("Task", "subject:Patient.gender=female&_contained=true&_containedType=contained")) > 1
    assert len(planned.ids("Patient", "_content=munoz or jose&_contained=true")) > 2


def test_any_order_of_contained_resources(planned):
    """B-46: _sort by parameters of the contained type; what is missing comes last."""
    text = "_contained=true&_containedType=contained&_sort=birthdate"
    born = {one["id"]: one.get("birthDate", "9") for one in INNER}
    found = [born[fid] for fid in planned.ids("Patient", text)]
    assert len(found) > 20
    assert [oracle.span(one)[0] for one in found if one != "9"] == sorted(
        oracle.span(one)[0] for one in found if one != "9"
    )
    assert "9" not in found[: -found.count("9")]


@pytest.mark.parametrize("down", ["", "-"])
def test_an_order_through_references(planned, down):
    """B-46: a reference of a contained resource leads to resources, not to what others contain."""
    text = f"_contained=true&_containedType=contained&_sort={down}subject:Patient.birthdate"
    born = {f"Patient/{one['id']}": one["birthDate"] for one in STORED if "birthDate" in one}
    care = {one["id"]: one for one in INNER if one["resourceType"] == "CarePlan"}
    found = [[born.get(to) for to in oracle.references(care[fid], "subject")] for fid in planned.ids("CarePlan", text)]
    times = [oracle.span(one[0])[0] for one in found if one and one[0]]
    assert len(found) == len(care)
    assert len(set(times)) > 1
    assert times == sorted(times, reverse=bool(down))
    assert all(one and one[0] for one in found[: len(times)])


def test_an_id_is_the_one_inside_the_container(planned):
    """`_id` of a contained resource is the one that its container gave it."""
    inner = INNER[0]
    kind = inner["resourceType"]
    assert planned.ids(kind, f"_id={inner['id']}&_contained=true&_containedType=contained") == [inner["id"]]
    [holder] = planned.ids(kind, f"_id={inner['id']}&_contained=true")
    assert inner in next(one for one in STORED if one["id"] == holder)["contained"]
    assert planned.ids(kind, f"_id={inner['id']}") == []


def test_what_a_hit_says(planned):
    """The row of a contained resource is its container's, with its own number, type and id; nothing refers to it."""
    page = planned.page("Patient", [("_contained", "true"), ("_containedType", "contained"), ("_revinclude", "*")])
    assert page.included == []
    assert {(hit.view, hit.rh) for hit in page.hits} == {(2, 0)}


def test_includes_start_from_what_is_answered(planned):
    """B-43: _include from contained resources by their own references, from containers by those of the containers."""
    for answer in ("contained", "container"):
        pairs = [("_contained", "true"), ("_containedType", answer), ("_include", "*"), ("_count", "200")]
        pairs += [("_include", f"{kind}:subject") for kind in ("Task", "CarePlan", "Observation", "RiskAssessment")]
        page = planned.page("CarePlan", pairs)
        answers = {hit.fid for hit in page.hits}
        of = [one for one in (*STORED, *INNER) if one["id"] in answers]
        targets = {ref for one in of for path in ("subject", "for") for ref in oracle.references(one, path)}
        there = {f"{one['resourceType']}/{one['id']}" for one in STORED} & targets
        assert there
        along = {f"Patient/{hit.fid}" for hit in (*page.included, *page.hits)}
        assert along >= {one for one in there if one.startswith("Patient/")}


REFUSED = [
    ("", "_contained=true"),
    ("", "_type=Task,Patient&_contained=both"),
    ("Patient", "_contained=true&_sort=family"),
    ("Patient", "_contained=both&_sort=_lastUpdated,-birthdate"),
    ("Task", "_contained=true&_containedType=container&_sort=subject:Patient._lastUpdated"),
]


@pytest.mark.parametrize(("kind", "text"), REFUSED)
@pytest.mark.parametrize("lenient", [False, True])
def test_what_is_refused(kind, text, lenient):
    """Several types at once, and an order of containers by what several of their parts may say: 400, lenient or not."""
    pairs = [tuple(pair.split("=", 1)) for pair in text.split("&")]
    with pytest.raises(NotSupported):
        parse(DEFINITIONS, kind, pairs, lenient=lenient)


def test_refused_in_compartments_and_conditions(world):
    """A compartment holds resources, and a condition is about one with an id of its own."""
    with pytest.raises(NotSupported):
        parse(DEFINITIONS, "Task", [("_contained", "true")], within="Patient/1")
    query = world.searcher.parse("Patient", [("gender", "male"), ("_contained", "both")])
    with pytest.raises(NotSupported):
        world.searcher.match(world.database.read(), query, Everything())
    for pair in (("_contained", "maybe"), ("_containedType", "both")):
        with pytest.raises(BadValue):
            parse(DEFINITIONS, "Patient", [pair])


def test_without_the_word_nothing_changes(planned):
    """Contained resources are nowhere but where they are asked for: not found, counted, chained through or included."""
    assert planned.ids("Patient") == oracle.matching(STORED, "Patient", [])[::-1]
    assert planned.ids("Patient", "_contained=false&_containedType=contained") == planned.ids("Patient")
    page = planned.page("Patient", [("_summary", "count")])
    assert page.total == len(oracle.matching(STORED, "Patient", []))
