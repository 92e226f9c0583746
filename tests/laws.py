"""How often a law is tried: some times in every run, ECM_LAWS times as often in the long one.

A law is a property that holds for whatever is made up for it, and a `long` test is what takes its time in any case.
"""

import os
from typing import Any

import pytest

TIMES = int(os.environ.get("ECM_LAWS", "1"))
# What the exchange is about: types that a law over all types is tried with in every run.
OF_THE_EXCHANGE = (
    "CarePlan", "CareTeam", "Condition", "Consent", "Coverage", "Encounter", "EpisodeOfCare", "Goal", "Group",
    "HealthcareService", "Observation", "Organization", "Patient", "ServiceRequest", "Task",
)  # fmt: skip


def examples(number: int) -> int:
    """How many examples a law is tried with in this run, that is `number` in an ordinary one."""
    return number * TIMES


def often_and_all(of: Any) -> list[Any]:
    """Values of a parameter for a test over types: those of the exchange in every run, all (None) in the long one."""
    return [pytest.param(of, id="of-the-exchange"), pytest.param(None, id="all", marks=pytest.mark.long)]
