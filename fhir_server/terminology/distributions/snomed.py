"""SNOMED CT as a snapshot in release format 2.  https://docs.snomed.org/snomed-ct-specifications/snomed-ct-release-file-specification

Concepts, descriptions with the preferred terms of US English, and the active is-a relationships.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from fhir_server.terminology.distribution import Distribution, Entry, Source

_CONCEPTS = r"sct2_Concept_Snapshot_\w+\.txt"
_DESCRIPTIONS = r"sct2_Description_Snapshot-en\w*_\w+\.txt"
_RELATIONSHIPS = r"sct2_Relationship_Snapshot_\w+\.txt"
_LANGUAGES = r"der2_cRefset_LanguageSnapshot-en\w*_\w+\.txt"
_IS_A, _FULL_NAME = "116680003", "900000000000003001"
_US_ENGLISH, _PREFERRED = "900000000000509007", "900000000000548007"
_USE = {"system": "http://snomed.info/sct", "code": _FULL_NAME, "display": "Fully specified name"}


@dataclass(slots=True)
class _Terms:
    full: str = ""
    preferred: str = ""
    others: list[str] = field(default_factory=list)


def _read(source: Source) -> Iterator[Entry]:
    preferred = {row[5] for row in _rows(source, _LANGUAGES) if row[4] == _US_ENGLISH and row[6] == _PREFERRED}
    terms: dict[str, _Terms] = {}
    for row in _rows(source, _DESCRIPTIONS):
        _take(terms.setdefault(row[4], _Terms()), row, preferred)
    parents: dict[str, list[str]] = {}
    for row in _rows(source, _RELATIONSHIPS):
        if row[7] == _IS_A:
            parents.setdefault(row[4], []).append(row[5])
    for row in _rows(source, _CONCEPTS, active=False):
        yield _entry(row, terms.get(row[0], _Terms()), parents.get(row[0], []))


def _rows(source: Source, pattern: str, *, active: bool = True) -> Iterator[list[str]]:
    """The rows of one file without its header, only those in force unless told otherwise."""
    with source.text(pattern) as lines:
        next(lines, "")
        for line in lines:
            row = line.rstrip("\r\n").split("\t")
            if not active or row[2] == "1":
                yield row


def _take(terms: _Terms, row: list[str], preferred: set[str]) -> None:
    identity, kind, text = row[0], row[6], row[7]
    if kind == _FULL_NAME:
        terms.full = text
    elif identity in preferred and not terms.preferred:
        terms.preferred = text
    else:
        terms.others.append(text)


def _entry(row: list[str], terms: _Terms, parents: list[str]) -> Entry:
    designations = [{"language": "en", "use": _USE, "value": terms.full}] if terms.full else []
    designations += [{"language": "en", "value": text} for text in terms.others]
    display = terms.preferred or terms.full
    more = [terms.full, *terms.others]
    properties = {"moduleId": (row[3],), "effectiveTime": (row[1],)}
    return Entry(row[0], display, parents, row[2] == "1", more=more, designations=designations, properties=properties)


DISTRIBUTION = Distribution(
    "snomed",
    "http://snomed.info/sct",
    "SNOMED CT",
    "SnomedCT_..._RF2_PRODUCTION_....zip as released, or its folder",
    _read,
)
