"""A version of a return file as parts of Parameters."""

from __future__ import annotations

from typing import Any

import orjson

from fhir_server.fhir.values import instant
from fhir_server.store.reports import Sent

_COUNTS = ("rows", "withheld", "added", "removed", "changed")


def parts(row: Sent) -> list[dict[str, Any]]:
    """Number, which one it corrects, of which file, as known when, and what changed."""
    said = orjson.loads(row.said)
    found: list[dict[str, Any]] = [
        {"name": "file", "valueCode": row.kind},
        {"name": "period", "valueString": row.period},
        {"name": "number", "valuePositiveInt": row.number},
        {"name": "plan", "valueReference": {"reference": said["plan"]}},
        {"name": "provider", "valueReference": {"reference": said["provider"]}},
        {"name": "sent", "valueInstant": said["sent"]},
        {"name": "as-of", "valueInstant": instant(row.as_of)},
        {"name": "sha256", "valueString": row.sha256},
        *[{"name": name, "valueUnsignedInt": said[name]} for name in _COUNTS],
        *[{"name": "column", "valueString": name} for name in said["columns"]],
    ]
    if row.number > 1:
        found.insert(3, {"name": "corrects", "valuePositiveInt": row.number - 1})
    if said["group"]:
        found.append({"name": "roster", "valueReference": {"reference": f"Group/{said['group']}"}})
    return found
