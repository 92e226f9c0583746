"""The reviewed table of what law lets an organization see by default.  45 CFR 164.506, 42 CFR Part 2; see law.json"""

import json
from collections.abc import Callable
from functools import lru_cache
from itertools import product
from pathlib import Path

from fhir_server.access.classes import mask_of

Law = Callable[[str, str, str], "int | None"]

_FILE = Path(__file__).with_name("law.json")


def load(path: Path = _FILE) -> Law:
    """law(law_class, kind, purpose) -> the mask of classes, or None where there is no entitlement at all."""
    masks: dict[tuple[str, str, str], int] = {}
    for row in json.loads(path.read_text("utf-8"))["rows"]:
        for key in product(row["law_class"], row["kind"], row["purpose"]):
            masks[key] = masks.get(key, 0) | mask_of(row["classes"])
    return lambda law_class, kind, purpose: masks.get((law_class, kind, purpose))


@lru_cache(maxsize=1)
def standard() -> Law:
    """The table that ships with the server."""
    return load()
