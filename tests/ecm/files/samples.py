"""Believable Member Information Files from a seed: any size, any share of bad rows, in every format."""

from collections.abc import Iterator
from random import Random

from fhir_server.ecm.files.formats import FORMATS
from fhir_server.ecm.files.layouts import load

LAYOUT = load()["member-information"]
FIRST = "Maria Jose Ana Luis Mei Wei Thanh Linh Armen Ani Jamal Aaliyah Noor Omar Grace Daniel Sofia Mateo Leilani Koa"
LAST = "Garcia Nguyen Lopez Martinez Kim Chen Johnson Petrosyan Rivera O'Neill Smith-Jones Ramirez Vang Tran Ali Brown"
STREETS = "Main St,Mission St,Broadway,Imperial Ave,E 14th St,Alvarado St,Ocean View Blvd,Euclid Ave"
POPULATIONS = ("1a", "Homelessness", "2", "SMI/SUD", "Birth equity", "Child Welfare", "3; 4", "6")
BAD = (
    ("cin", "9123A"),
    ("birth_date", "13/45/1980"),
    ("provider_npi", "1234567890"),
    ("last_name", ""),
    ("phone", "555-12"),
    ("zip", "9410"),
    ("language", "Klingon"),
    ("renewal_date", "31.02.2026"),
)
REJECTING = 4  # of BAD, those that reject the row


def npi(number: int) -> str:
    """A valid NPI for a small number: nine digits and the check digit."""
    stem = f"1{number:08d}"
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in stem[::-2])
    plain = sum(int(digit) for digit in stem[-2::-2])
    return f"{stem}{-(24 + doubled + plain) % 10}"


def mif_row(number: int, random: Random, providers: int = 6) -> dict[str, str]:
    """One good row by column name; the number makes its CIN."""
    provider = random.randrange(providers)
    homeless = random.random() < 0.2
    return {
        "production_date": "07/01/2026",
        "period": "2026-06",
        "plan_code": "029",
        "plan_name": "Harbor Health Plan",
        "cin": f"{90_000_000 + number:08d}{'ACDEFGHMNPSTVWXY'[number % 16]}",
        "member_id": f"HHP{number:07d}",
        "last_name": random.choice(LAST.split()),
        "first_name": random.choice(FIRST.split()),
        "birth_date": f"{random.randint(1, 12):02}/{random.randint(1, 28):02}/{random.randint(1940, 2020)}",
        "gender": random.choice("FFMMX"),
        "homeless": "Y" if homeless else "N",
        "address": "" if homeless else f"{random.randint(1, 9999)} {random.choice(STREETS.split(','))}",
        "city": "San Diego",
        "state": "CA",
        "zip": f"921{random.randint(1, 40):02}",
        "county": random.choice(("37", "San Diego", "06073")),
        "phone": f"(619) 555-{random.randint(0, 9999):04}",
        "email": f"member{number}@example.org" if random.random() < 0.3 else "",
        "language": random.choice(("English", "Spanish", "1", "7", "Vietnamese", "Tagalog")),
        "race": random.choice(("White", "Black", "Asian", "")),
        "ethnicity": random.choice(("Hispanic", "Not Hispanic", "")),
        "renewal_date": f"{random.randint(1, 12)}/1/2027",
        "medicare_dual": random.choice("YNNN"),
        "pcp_name": "Riverside Family Clinic",
        "pcp_npi": npi(900),
        "pcp_phone": "619-555-0199",
        "provider_name": f"Provider {provider}",
        "provider_npi": npi(provider),
        "provider_tin": f"95-000{provider:04}",
        "provider_phone": "619.555.0100",
        "populations": random.choice(POPULATIONS),
        "authorization_start": "2026-07-01",
        "authorization_end": "06/30/2027",
        "authorization_number": f"A{number:08d}",
        "member_status": random.choice(("New", "Continuing", "Returning")),
        "assignment_date": "6/28/2026",
        "source": "Plan data",
        "acuity": random.choice(("High", "Medium", "Low")),
        "conditions": random.choice(("Asthma; Diabetes", "Heart failure", "")),
        "ed_visits": str(random.randint(0, 9)),
        "sdoh_codes": random.choice(("Z59.01", "Z59.02;Z59.41", "")),
        "programs": random.choice(("", "", "CCM")),
    }


def mif_rows(rows: int, bad_share: float = 0.03, seed: int = 1, providers: int = 6) -> Iterator[list[str]]:
    """Header and rows in layout order; a share of them is bad in one way each."""
    random = Random(seed)
    yield [column.header for column in LAYOUT.columns]
    for number in range(rows):
        row = mif_row(number, random, providers)
        if random.random() < bad_share:
            name, cell = random.choice(BAD)
            row[name] = cell
        yield [row.get(column.name, "") for column in LAYOUT.columns]


def make_mif(rows: int, bad_share: float = 0.03, seed: int = 1, form: str = "csv", providers: int = 6) -> bytes:
    """A whole file in the format of this name: csv, pipe or xlsx."""
    return b"".join(FORMATS[form].write(mif_rows(rows, bad_share, seed, providers)))
