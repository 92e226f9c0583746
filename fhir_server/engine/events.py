"""An event of the audit trail, as it is before it has a place in a chain."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Event(NamedTuple):
    """What happened: microseconds, request, interaction, HTTP status, who, why, from where, to which versions."""

    at: int
    request: str
    interaction: str
    outcome: int
    client: str
    org: int
    purpose: str
    address: str
    entities: Sequence[Any]
    query: str = ""
