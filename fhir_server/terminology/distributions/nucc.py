"""Health care provider taxonomy as the CSV file of NUCC.  https://www.nucc.org/index.php/code-sets-mainmenu-41"""

import csv
from collections.abc import Iterator

from fhir_server.terminology.distribution import Distribution, Entry, Source

_PROPERTIES = {"Grouping": "grouping", "Classification": "classification", "Specialization": "specialization"}


def _read(source: Source) -> Iterator[Entry]:
    with source.text(r"nucc_taxonomy\w*\.csv") as lines:
        for row in csv.DictReader(lines):
            names = [row.get("Classification", ""), row.get("Specialization", "")]
            display = row.get("Display Name") or " - ".join(name for name in names if name)
            properties = {word: (row[column],) for column, word in _PROPERTIES.items() if row.get(column)}
            more = [*names, row.get("Grouping", "")]
            yield Entry(row["Code"], display, definition=row.get("Definition", ""), more=more, properties=properties)


DISTRIBUTION = Distribution(
    "nucc",
    "http://nucc.org/provider-taxonomy",
    "Health Care Provider Taxonomy",
    "nucc_taxonomy_NNN.csv",
    _read,
)
