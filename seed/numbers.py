"""Numbers that look right and belong to nobody: NPI, TIN, CIN, telephone, UUID, authorization.

NPI: ten digits, Luhn over 80840 and the number (https://www.cms.gov/Regulations-and-Guidance/Administrative-Simplification/NationalProvIdentStand).
NPIs are issued with a leading 1 and TINs never with 89, so 2... and 89... are valid in form and never a real one's.
"""

import uuid

SPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")
CIN_LETTERS = "ACDEFGHMNS"


def luhn(digits: str) -> int:
    """The Luhn remainder of a number whose last digit is the check digit; 0 means that the number is valid."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        total += sum(divmod(int(digit) * (1 + place % 2), 10))
    return total % 10


def npi(number: int) -> str:
    """A valid NPI for `number` (below 100,000,000)."""
    stem = f"2{number:08d}"
    return stem + str((10 - luhn(f"80840{stem}0")) % 10)


def tin(number: int) -> str:
    """A nine-digit taxpayer number for `number` (below 10,000,000)."""
    return f"89{number:07d}"


def cin(index: int, seed: int) -> str:
    """The Client Index Number of the member `index`: unique below ten million members."""
    serial = (index * 7919 + seed * 104729 + 1234567) % 10_000_000
    return f"9{serial:07d}{CIN_LETTERS[serial % len(CIN_LETTERS)]}"


def phone(area: str, number: int) -> str:
    """Ten digits in the block that is kept for fiction (555-0100 to 555-0199)."""
    return f"{area}55501{number % 100:02d}"


def urn(name: str) -> str:
    """The same urn:uuid for the same name, for links inside a transaction."""
    return uuid.uuid5(SPACE, f"https://ecm-exchange.org/seed/{name}").urn
