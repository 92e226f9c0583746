"""The plan's care team of an assignment follows it: in force as long as the assignment, ended with it.

A team names the provider, and who is in a team in force may see the member's record. So a team that outlived its
assignment would keep the door open. What the provider wrote into the team stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fhir_server.engine import writing
from fhir_server.engine.context import Transaction
from fhir_server.fhir import wire
from fhir_server.store.resources import Row


def end(transaction: Transaction, team: Row) -> None:
    """The assignment ended today: so does its team, if it had not ended before."""
    said = wire.parse(team.body)
    if said.get("status") == "inactive":
        return
    context = transaction.context
    today = datetime.fromtimestamp(context.now / 1000, context.engine.settings.zone).date().isoformat()
    period = said.get("period", {})
    last = max(today, period.get("start", ""))  # one that had not begun ends on the day it would have
    _write(transaction, team, "inactive", {**period, "end": last})


def keep(transaction: Transaction, team: Row, period: Mapping[str, Any]) -> bool:
    """The assignment goes on or begins anew: the team is in force for its period; whether this was written."""
    said = wire.parse(team.body)
    if said.get("status") == "active" and said.get("period", {}) == period:
        return False
    _write(transaction, team, "active", period)
    return True


def _write(transaction: Transaction, team: Row, status: str, period: Mapping[str, Any]) -> None:
    body = wire.edit(team.body, {("status",): status, ("period",): dict(period) or wire.DELETE})
    writing.change(transaction, team, writing.Draft("CareTeam", body, wire.parse(body)))
