"""SNOMED CT as a snapshot in release format 2.  https://docs.snomed.org/snomed-ct-specifications/snomed-ct-release-file-specification

Concepts, descriptions with the preferred terms of US English, and the active is-a relationships.
"""

from collections.abc import Iterator, Sequence

from fhir_server.store.scratch import Grouped, grouped
from fhir_server.terminology.distribution import Distribution, Entry, Source

_CONCEPTS = r"sct2_Concept_Snapshot_\w+\.txt"
_DESCRIPTIONS = r"sct2_Description_Snapshot-en\w*_\w+\.txt"
_RELATIONSHIPS = r"sct2_Relationship_Snapshot_\w+\.txt"
_LANGUAGES = r"der2_cRefset_LanguageSnapshot-en\w*_\w+\.txt"
_IS_A, _FULL_NAME = "116680003", "900000000000003001"
_US_ENGLISH, _PREFERRED = "900000000000509007", "900000000000548007"
_FULL, _FIRST, _OTHER = "f", "p", "o"
_USE = {"system": "http://snomed.info/sct", "code": _FULL_NAME, "display": "Fully specified name"}


def _read(source: Source) -> Iterator[Entry]:
    with (
        grouped(_preferences(source)) as preferences,
        grouped(_descriptions(source, preferences)) as descriptions,
        grouped(_parents(source)) as parents,
    ):
        for row in _rows(source, _CONCEPTS, active=False):
            yield _entry(row, descriptions(row[0]), parents(row[0]))


def _rows(source: Source, pattern: str, *, active: bool = True) -> Iterator[list[str]]:
    """The rows of one file without its header, only those in force unless told otherwise."""
    with source.text(pattern) as lines:
        next(lines, "")
        for line in lines:
            row = line.rstrip("\r\n").split("\t")
            if not active or row[2] == "1":
                yield row


def _preferences(source: Source) -> Iterator[tuple[str, str]]:
    """(description, "") for each that US English prefers."""
    for row in _rows(source, _LANGUAGES):
        if row[4] == _US_ENGLISH and row[6] == _PREFERRED:
            yield row[5], ""


def _descriptions(source: Source, preferences: Grouped) -> Iterator[tuple[str, str]]:
    """(concept, term) with a mark before the term: full name, preferred, or another."""
    for row in _rows(source, _DESCRIPTIONS):
        mark = _FULL if row[6] == _FULL_NAME else _FIRST if preferences(row[0]) else _OTHER
        yield row[4], mark + row[7]


def _parents(source: Source) -> Iterator[tuple[str, str]]:
    for row in _rows(source, _RELATIONSHIPS):
        if row[7] == _IS_A:
            yield row[4], row[5]


def _entry(row: list[str], terms: Sequence[str], parents: Sequence[str]) -> Entry:
    full, preferred, others = ([one[1:] for one in terms if one[0] == mark] for mark in (_FULL, _FIRST, _OTHER))
    others = [*preferred[1:], *others]
    designations = [{"language": "en", "use": _USE, "value": text} for text in full[-1:]]
    designations += [{"language": "en", "value": text} for text in others]
    display = next(iter([*preferred, *full[-1:]]), "")
    properties = {"moduleId": (row[3],), "effectiveTime": (row[1],)}
    more = [*full[-1:], *others]
    return Entry(row[0], display, parents, row[2] == "1", more=more, designations=designations, properties=properties)


DISTRIBUTION = Distribution(
    "snomed",
    "http://snomed.info/sct",
    "SNOMED CT",
    "SnomedCT_..._RF2_PRODUCTION_....zip as released, or its folder",
    _read,
)
