"""The lists of what may be a caller's to see: nothing that is shown is missing, and histories are the same."""

from contextlib import closing

import pytest
from sqlalchemy import select

from fhir_server.access.classes import BH
from fhir_server.access.directory import DIRECTORY_TYPES
from fhir_server.access.predicate import Visible
from fhir_server.fhir.definitions import type_number
from fhir_server.store import history
from fhir_server.store.db import open_database
from fhir_server.store.history import Place, Span, versions
from fhir_server.store.reach import listed
from tests.access.scene import EARLY, NOW, RUN_OUT, Scene
from tests.access.test_predicate import CLASSES, RELATIONS, callers

pytestmark = pytest.mark.heavy

PUBLIC = tuple(sorted(DIRECTORY_TYPES))
KINDS = ("", "Patient", "Condition", "Organization")


@pytest.fixture(scope="module")
def scene(module_database_url):
    """Every relation to a patient, with versions of what is of that patient, and a directory."""
    with closing(open_database(module_database_url)) as database, database.engine.begin() as connection:
        others = {"plan": "covered", "rival": "covered", "stranger": "covered", "kitchen": "non-hipaa"}
        made = Scene(connection, dict(CLASSES) | others)
        for number, (relation, relate) in enumerate(RELATIONS.items()):
            patient = f"p{number}"
            rid = made.add("Patient", patient, "plan", ts=NOW + number % 5)
            made.add("Patient", patient, "plan", view=1, rid=rid + 1, ts=NOW)
            for label in (0, BH):
                kept = made.add("Condition", f"{patient}-{label}", "stranger", patient, label, ver=3, ts=NOW + 3)
                made.version(kept, 1, ts=NOW - 2)
                made.version(kept, 2, ts=NOW + number % 3, labels=0)
            for name in CLASSES:
                relate(made, patient, name)
            made.add("Goal", f"{patient}-{relation}", "clinic", patient)
            made.add("Observation", f"{patient}-early", "stranger", patient, ts=EARLY - 1)
        for number in range(4):
            place = made.add("Organization", f"o{number}", "plan", ver=2, ts=NOW + number)
            made.version(place, 1, ts=NOW - number)
        made.settle()
        yield made


@pytest.mark.parametrize("type_", KINDS)
def test_the_lists_hold_all_that_is_shown(scene, type_):
    """R2-R5: whatever the relation; so that a history may begin with them."""
    directory = [type_number(kind) for kind in PUBLIC]
    for who in callers():
        visible = Visible(who, NOW)
        row = visible("r", of=type_ or None)
        shown = select(row.c.rid).where(row.c.type.not_in(directory))
        found, there = (
            set(scene.connection.execute(query, dict(visible.binds)).scalars())
            for query in (shown, listed(visible, type_, 10**9))
        )
        assert found <= there, who


@pytest.mark.parametrize("type_", KINDS)
def test_a_history_is_the_same_on_both_ways(scene, monkeypatch, type_):
    """B-62, R13: along the time of storing, and by what may be this caller's, page by page."""
    shown = 0
    for who in [*callers()[::7], *callers()[-3:]]:
        for span in (Span(), Span(since=NOW), Span(at=(NOW, NOW + 1))):
            pages = []
            for few in (0, 10**9):
                monkeypatch.setattr(history, "FEW", few)
                pages.append(walked(scene, Visible(who, NOW), type_, span))
            assert pages[0] == pages[1], (who, span)
            shown += len(pages[0])
    assert shown > 50


def walked(scene, visible, type_, span):
    found, place = [], Place()
    while page := versions(scene.connection, visible, type_, None, span, place, 40, PUBLIC):
        found += [(row.ts, row.rid, row.ver) for row in page]
        place = Place(*found[-1])
    return found


def test_who_may_see_more_than_is_on_the_lists_walks_along_the_time(scene, monkeypatch):
    """The run-out shows what no list has."""
    monkeypatch.setattr(history, "FEW", 10**9)
    who = callers()[0]
    plain, more = (walked(scene, Visible(who, NOW, run_out_ms=ms), "Observation", Span()) for ms in (0, RUN_OUT))
    assert set(plain) < set(more)
