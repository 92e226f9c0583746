"""Classes of sensitive information as bits, and the purposes and instants that all access rules share.

Ordinary information carries no bit: a row passes a mask when `labels & ~mask == 0`.
https://terminology.hl7.org/ValueSet-v3-InformationSensitivityPolicy.html
"""

from collections.abc import Iterable, Mapping
from typing import Final

N: Final = 0  # ordinary information
BH: Final = 1  # behavioral health
SUD2: Final = 2  # substance use disorder records under 42 CFR Part 2
SUDCN: Final = 4  # SUD counselling notes and psychotherapy notes
HIV: Final = 8
SENS: Final = 16  # abortion, contraception, gender-affirming care, and what else is as private
MINOR: Final = 32  # services a minor consented to alone; follows its underlying class for organizations
JI: Final = 64  # justice involvement
HOUSE: Final = 128  # homelessness
UNKNOWN: Final = 1 << 62  # a label this server does not know: in no mask, so only the owner sees the row

ALL: Final = -1  # in a directive: every class, ordinary information too

BITS: Final[Mapping[str, int]] = {
    "N": N,
    "BH": BH,
    "SUD2": SUD2,
    "SUDCN": SUDCN,
    "HIV": HIV,
    "SENS": SENS,
    "MINOR": MINOR,
    "JI": JI,
    "HOUSE": HOUSE,
}
SENSITIVE: Final = sum(BITS.values())

# Treatment, payment, operations (HIPAA 164.506), and care management, which is part of operations.
TPO: Final = ("TREAT", "HPAYMT", "HOPERAT", "CAREMGT")
ANY_PURPOSE: Final = ""  # in a directive: whatever the purpose; in an access row: each of TPO

COVERED: Final = frozenset({"covered", "part2"})  # law classes that a relation to the patient entitles

START: Final = 0
OPEN: Final = 1 << 62  # the end of a span that has none


def mask_of(names: Iterable[str]) -> int:
    """The bits of class names; KeyError for a name that is no class."""
    mask = 0
    for name in names:
        mask |= BITS[name]
    return mask
