"""Populations of Focus by age, on the day that a file speaks of: who turns 21 changes from the child to the adult flag.

The years are data: profiles/ecm/population-ages.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import orjson

from fhir_server.ecm.persons import birthday
from fhir_server.fhir.folders import data_folder

_WHOLE = len("2000-01-01")


@cache
def _table() -> Mapping[str, Any]:
    found: Mapping[str, Any] = orjson.loads((data_folder("profiles") / "ecm" / "population-ages.json").read_bytes())
    return {**found, "rows": {row["code"]: row for row in found["rows"]}}


def is_adult(born: str, day: str) -> bool:
    """Whether ECM counts somebody born on a day (ISO) as an adult on another."""
    return birthday(born, _table()["adult-from"]) <= day


def exists(population: str, born: str, day: str) -> bool:
    """Whether a population is there for somebody of this age; True where the day of birth is not known whole."""
    row = _table()["rows"].get(population)
    if row is None or len(born) < _WHOLE:
        return True
    return birthday(born, row.get("from", 0)) <= day and ("until" not in row or day < birthday(born, row["until"]))


def fitting(populations: Iterable[str], born: str, day: str) -> tuple[str, ...]:
    """Those of these populations that are there for somebody of this age."""
    return tuple(code for code in populations if exists(code, born, day))
