"""RxNorm as the concept file of the National Library of Medicine.  https://www.nlm.nih.gov/research/umls/rxnorm/docs/techdoc.html

Of the names in RXNCONSO.RRF those of RxNorm itself; what stands above a concept from RXNREL.RRF, if it is there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from fhir_server.terminology.distribution import Distribution, Entry, Source

_CONCEPTS, _RELATIONS = r"RXNCONSO\.RRF", r"RXNREL\.RRF"
_SYNONYMS = frozenset({"SY", "TMSY", "PSN", "ET"})  # term types beside the one that names the concept
_IN_USE = "N"


@dataclass(slots=True)
class _Names:
    name: str = ""
    kind: str = ""
    active: bool = False
    others: list[str] = field(default_factory=list)


def _read(source: Source) -> Iterator[Entry]:
    names: dict[str, _Names] = {}
    for row in _rows(source, _CONCEPTS):
        if row[11] == "RXNORM":
            _take(names.setdefault(row[0], _Names()), row)
    parents: dict[str, list[str]] = {}
    for row in _rows(source, _RELATIONS) if source.has(_RELATIONS) else ():
        if row[7] == "isa" and row[10] == "RXNORM" and row[0] and row[4]:
            parents.setdefault(row[4], []).append(row[0])  # the second concept is a kind of the first
    for code, found in names.items():
        display = found.name or (found.others[0] if found.others else "")
        properties = {"TTY": (found.kind,)} if found.kind else {}
        yield Entry(code, display, parents.get(code, ()), found.active, more=found.others, properties=properties)


def _rows(source: Source, pattern: str) -> Iterator[list[str]]:
    with source.text(pattern) as lines:
        for line in lines:
            yield line.rstrip("\r\n").split("|")


def _take(names: _Names, row: list[str]) -> None:
    kind, text, suppressed = row[12], row[14], row[16]
    names.active = names.active or suppressed == _IN_USE
    if kind in _SYNONYMS or names.name:
        names.others.append(text)
    else:
        names.name, names.kind = text, kind


DISTRIBUTION = Distribution(
    "rxnorm",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
    "RxNorm",
    "RxNorm_full_MMDDYYYY.zip as released, its folder, or RXNCONSO.RRF alone",
    _read,
)
