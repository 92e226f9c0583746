"""Two plans, six ECM Providers and three community organizations over real HTTP, and files that they send."""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.ecm.scene import HEADERS, Scene, join, table
from tests.live import running
from tests.month.model import BY_TELEPHONE, NPIS, PANTRIES, PLANS, PROVIDERS, STRANGER, Member

FILE_HEADERS = (*HEADERS, "Production Date")


@contextmanager
def month(url: str, folder: Path) -> Iterator[Scene]:
    """The world over a migrated database; nobody is assigned yet."""
    with running(url, folder, embedded_worker=False, share_grace_days=60) as server:  # longer than the month
        found = Scene(server)
        for name in (*PLANS, *PROVIDERS, STRANGER):
            join(found, name, is_plan=name in PLANS, number=NPIS.get(name))
        for name in PANTRIES:
            join(found, name, law_class="non-hipaa")
        entry = {"resourceType": "Organization", "id": BY_TELEPHONE, "active": True, "name": BY_TELEPHONE.title()}
        own = {"organization": "Organization/poppy-health", "rights": "update-create"}
        assert server.client("directory", **own).put(f"Organization/{BY_TELEPHONE}", entry).status_code == 201
        yield found


def row(one: Member, npi: str = "") -> dict[str, str]:
    """The row of a member in its plan's file."""
    number = int(one.cin[1:8])
    return {
        "CIN": one.cin, "Plan Member ID": f"M{number:07d}", "Last Name": f"Family{number % 997}",
        "First Name": f"Given{number % 61}", "Phone": f"619-555-{one.changes:04d}",
        "Date of Birth": f"{1 + number % 12:02}/{1 + number % 28:02}/{1950 + number % 70}",
        "Address": f"{number} Example Street", "City": "San Diego",
        "Zip": "92101", "County": "San Diego", "ECM Provider NPI": npi or NPIS[one.provider],
        "Assignment Date": "01/15/2026", "Authorization Start Date": "01/15/2026",
        "Authorization End Date": "12/31/2099", "POF": "homeless-individuals", "Preferred Language": "English",
    }  # fmt: skip


def file(rows: Sequence[dict[str, str]], day: str) -> bytes:
    """An assignment file of these rows, produced on this day (YYYY-MM-DD)."""
    text = io.StringIO()
    dated = [{**one, "Production Date": day} for one in rows]
    csv.writer(text, lineterminator="\r\n").writerows(table(dated, FILE_HEADERS))
    return text.getvalue().encode()
