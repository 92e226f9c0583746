"""What a Patient says of a person: whether a death is recorded, when it is so old.

https://hl7.org/fhir/R4/patient-definitions.html#Patient.deceased_x_
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_deceased(patient: Mapping[str, Any]) -> bool:
    """Whether a death is recorded."""
    return bool(patient.get("deceasedBoolean")) or "deceasedDateTime" in patient


def birthday(birth_date: str, years: int) -> str:
    """The ISO day on which somebody born on `birth_date` becomes so old; 1 March for who was born on 29 February."""
    year, month, day = int(birth_date[:4]) + years, birth_date[5:7], birth_date[8:10]
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return f"{year}-03-01" if (month, day) == ("02", "29") and not is_leap else f"{year}-{month}-{day}"
