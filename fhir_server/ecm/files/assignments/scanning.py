"""A first, quick look over a file's rows: whom it names, how often, and for which providers. Nothing is stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fhir_server.ecm import member
from fhir_server.ecm.files.format import NumberedRow
from fhir_server.ecm.files.layouts.binding import Bound
from fhir_server.ecm.member import Unreadable, number_of


@dataclass
class Scan:
    """Who is in a file, good rows and bad ones alike.

    named: hash of a CIN -> position of its last provider in `npis`; repeated: hash of a CIN -> number of its rows.
    """

    named: dict[int, int] = field(default_factory=dict)
    repeated: dict[int, int] = field(default_factory=dict)
    npis: list[str] = field(default_factory=list)
    rows: int = 0

    def names(self, cin: str) -> bool:
        """Whether the file has a row for this member."""
        return number_of(cin) in self.named


def scan(bound: Bound, rows: Iterable[NumberedRow]) -> Scan:
    """What the rows name; a row whose CIN cannot be read names nobody."""
    found = Scan()
    places: dict[str, int] = {}
    named, repeated, at, npi_at = found.named, found.repeated, bound.place("cin"), bound.place("provider_npi")
    for _, cells in rows:
        found.rows += 1
        number = _read(cells[at]) if at < len(cells) else None
        if number is None:
            continue
        npi = cells[npi_at] if 0 <= npi_at < len(cells) else ""
        if number in named:
            repeated[number] = repeated.get(number, 1) + 1
        named[number] = places.setdefault(npi, len(places))
    stated = str(bound.defaults.get("provider_npi", ""))
    found.npis = [_npi(text) or stated for text in places]
    return found


def _read(text: str) -> int | None:
    try:
        return number_of(member.cin(text.strip()))
    except Unreadable:
        return None


def _npi(text: str) -> str:
    try:
        return str(member.npi(text))
    except Unreadable:
        return ""
