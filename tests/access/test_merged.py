"""Laws of access to merged records: the one that stands gains nobody, the other those who see it, denials join."""

from hypothesis import given
from hypothesis import strategies as some

from fhir_server.access.consequences import effective
from fhir_server.access.merged import joined
from fhir_server.access.relations import ASSIGNED, CARE_TEAM, PLAN, Directive, Inputs, Rel

PLAN_ORG, STANDS, FIRST, SECOND, SINCE = 7, 1, 2, 3, 50
KINDS = some.sampled_from((PLAN, ASSIGNED, CARE_TEAM))
TIMES = some.integers(0, 100)
LINKS = ((FIRST, STANDS, SINCE), (SECOND, STANDS, SINCE))


def rels(patient: int) -> some.SearchStrategy[tuple[Rel, ...]]:
    one = some.builds(
        Rel, some.just(patient), some.integers(10, 14), KINDS, TIMES, TIMES, some.integers(20, 22), some.just(PLAN_ORG)
    )
    return some.lists(one, max_size=5).map(tuple)


def directives(patient: int) -> some.SearchStrategy[tuple[Directive, ...]]:
    effects, consents = some.sampled_from(("deny", "permit")), some.integers(30, 33)
    one = some.builds(
        Directive, some.just(patient), some.integers(0, 14), some.just(""), some.integers(0, 8), effects, TIMES, TIMES,
        consents, some.integers(0, 3),
    )  # fmt: skip
    return some.lists(one, max_size=3).map(tuple)


def inputs(patient: int) -> some.SearchStrategy[Inputs]:
    return some.builds(Inputs, some.just(patient), some.just(PLAN_ORG), rels(patient), directives(patient))


def seen(one: Inputs, now: int) -> set[int]:
    return {span.org for span in effective(one) if span.begins <= now < span.ends}


@given(inputs(STANDS), inputs(FIRST), inputs(SECOND), TIMES)
def test_who_sees_which_record(stands: Inputs, first: Inputs, second: Inputs, now: int) -> None:
    """Nobody sees the standing record by a merge; a replaced one is seen by its own and, since then, by the other's."""
    found = joined({STANDS: stands, FIRST: first, SECOND: second}, LINKS)
    assert seen(found[STANDS], now) == seen(stands, now)
    for one in (first, second):
        following = seen(stands, now) if now >= SINCE else set()
        assert seen(found[one.patient], now) == seen(one, now) | following


@given(inputs(STANDS), inputs(FIRST), inputs(SECOND))
def test_what_is_denied_is_denied_in_all(stands: Inputs, first: Inputs, second: Inputs) -> None:
    """Each record has every directive of the person, as its own."""
    found = joined({STANDS: stands, FIRST: first, SECOND: second}, LINKS)
    every = {(one.consent, one.ordinal, one.classes) for each in (stands, first, second) for one in each.directives}
    for patient, one in found.items():
        assert {(said.consent, said.ordinal, said.classes) for said in one.directives} == every
        assert {said.patient for said in one.directives} <= {patient}
