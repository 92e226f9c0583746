"""Under which law an organization works, as the operator registered it with its clients."""

from sqlalchemy import Connection, select

from fhir_server.store.hashing import rh
from fhir_server.store.tables import client

PART2 = "part2"
OPERATOR = "operator"
_STRICTNESS = {OPERATOR: 0, "covered": 1, "non-hipaa": 2, PART2: 3}


def law_classes(connection: Connection) -> dict[int, str]:
    """Organization hash -> law class (or "operator"), from the registered clients; of several the strictest holds."""
    found: dict[int, str] = {}
    rows = connection.execute(select(client.c.organization, client.c.law_class))
    for organization, law_class in sorted(rows, key=lambda row: _STRICTNESS.get(row[1], 0)):
        if law_class in _STRICTNESS:
            found[rh(organization)] = law_class
    return found
