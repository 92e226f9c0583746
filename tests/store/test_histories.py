"""How much of a large store the history of one caller reads."""

from contextlib import closing

import pytest

from fhir_server.access.predicate import Visible
from fhir_server.fhir.definitions import type_number
from fhir_server.store.db import open_database
from fhir_server.store.hashing import rh
from fhir_server.store.history import FEW, Place, Span, versions
from fhir_server.store.rows import Batch
from fhir_server.store.tables import hist, res
from tests.search.plans import NOW, PLAN, PROVIDER, Most, touched, view

OTHERS, OWN = 2 * FEW, 30
LITTLE = Most(1_000, 60_000)


@pytest.fixture(scope="module")
def world(module_database_url):
    """Many Tasks of a plan, each newer than those of a provider, all with a past."""
    with closing(open_database(module_database_url)) as database:
        batch = Batch()
        for number in range(OWN + OTHERS):
            rid, owner = 1000 + 2 * number, rh(PROVIDER if number < OWN else PLAN)
            for table, ver in ((hist, 1), (res, 2)):
                row = (1, 0, rid, type_number("Task"), f"t{number}", 0, rh(f"Task/t{number}"), ver, NOW - 10**6 + rid)
                batch.add(table, *row, False, owner, None, 0, 1, 0, b"{}")
        database.write(batch.flush)
        if database.dialect == "postgresql":
            database.read().exec_driver_sql("ANALYZE")
        yield database


@pytest.mark.parametrize("type_", ["Task", ""])
@pytest.mark.parametrize("organization", [PLAN, PROVIDER, "Organization/newcomer"])
def test_nobody_waits_for_what_others_have_stored(world, type_, organization):
    """B-62, P15: who sees all, few or nothing reads about a page, and as much as there is for it."""

    class Asked:
        database = world

    def page(visible: Visible):
        return versions(world.read(), visible, type_, None, Span(), Place(), 50, ("Organization",))

    expected = {PLAN: 50, PROVIDER: 50}.get(organization, 0)
    assert len(page(view(organization))) == expected
    bound = Most(4 * FEW, 400_000) if organization == PLAN else LITTLE  # the count of what the plan has ends at FEW
    touched(Asked, lambda: page(view(organization)), bound)
