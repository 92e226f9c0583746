"""Security labels for what the server writes about something sensitive: as sensitive as that is (R17)."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from fhir_server.access.classes import BITS
from fhir_server.access.labels import standard
from fhir_server.ecm import vocabulary as words

_NOBODY: Final = {"system": words.ACT_CODE, "code": "unlisted"}  # a label nobody's mask holds: the owner alone reads it


def security(bits: int) -> list[dict[str, Any]]:
    """meta.security that gives a resource these classes; [] for ordinary information."""
    known = {bit for bit in BITS.values() if bit & bits}
    labels = [_label(bit) for bit in sorted(known)]
    return labels if sum(known) == bits else [*labels, dict(_NOBODY)]


@cache
def _codes() -> dict[int, dict[str, str]]:
    """For each class that has a label of its own the first one of the table."""
    rows = reversed(list(standard().classes.items()))
    return {mask: {"system": system, "code": code} for (system, code), mask in rows if mask}


def _label(bit: int) -> dict[str, Any]:
    return dict(_codes().get(bit, _NOBODY))
