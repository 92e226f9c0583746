"""A month of operations, then an inventory by somebody else.

ECM_MONTH_MEMBERS and ECM_MONTH_REFERRALS say how large (5000 and 2000 for the whole of it); ECM_KILLS_SEED repeats one.
"""

import os
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from fhir_server.engine import audit
from tests.month.checker import differences
from tests.month.days import Month
from tests.month.model import Model
from tests.month.world import month
from tests.reliability.site import chance

MEMBERS = int(os.environ.get("ECM_MONTH_MEMBERS", "300"))
REFERRALS = int(os.environ.get("ECM_MONTH_REFERRALS", "120"))
COLUMNS = ("plan", "provider", "sent", "closed", "declined", "withdrawn", "unanswered", "closed", "days to answer")


@pytest.mark.long
def test_a_month_ends_as_it_should(database_url: str, tmp_path: Path) -> None:
    """Files every day, referrals, and three per cent of chaos: every member and every loop is where it should be."""
    with month(database_url, tmp_path) as world:
        played = Month(world, chance(), MEMBERS, REFERRALS)
        played.play()
        show(played.model)
        assert list(differences(world, played.model)) == []
        world.server.engine.reads.drain()
        checked, broken = audit.verify(world.server.engine.database, world.server.engine.secret)
        assert (broken, checked > MEMBERS) == (None, True)


def show(model: Model) -> None:
    """The closed-loop measures, as a table."""
    table = Table(*COLUMNS, title=f"{len(model.members)} members, {dict(model.happened)}")
    for line in model.measures():
        table.add_row(*line)
    Console(width=120).print(table)
