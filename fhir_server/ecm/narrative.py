"""A narrative for care plans that come without one: US Core CarePlan requires text (EC-04, UC-30)."""

from collections.abc import Mapping
from html import escape
from typing import Any

from fhir_server.engine.changes import Change
from fhir_server.engine.context import Edits, Transaction


def add(_transaction: Transaction, change: Change) -> Edits | None:
    """before_write: the `text` of a CarePlan that has none, from its own status, title, dates and description."""
    plan = change.resource
    if change.type != "CarePlan" or change.interaction == "delete" or "text" in plan:
        return None
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in _facts(plan))
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><p>Care plan</p><table>{rows}</table></div>'
    return {("text",): {"status": "generated", "div": div}}


def _facts(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    period = plan.get("period", {})
    facts = {
        "Title": plan.get("title"),
        "Status": plan.get("status"),
        "From": period.get("start"),
        "Until": period.get("end"),
        "Description": plan.get("description"),
        "Goals": str(len(plan["goal"])) if plan.get("goal") else None,
    }
    return [(name, str(value)) for name, value in facts.items() if value]
