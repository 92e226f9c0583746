"""LOINC as Regenstrief's release: the table, and the hierarchy of components if it is there.

https://loinc.org/kb/users-guide/ and https://hl7.org/fhir/R4/loinc.html
"""

import csv
from collections.abc import Iterator

from fhir_server.terminology.distribution import Distribution, Entry, Source

_TABLE = r"Loinc(?:Table)?\.csv"
_HIERARCHY = r"ComponentHierarchyBySystem\.csv"
_PROPERTIES = (
    "COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP", "METHOD_TYP",
    "CLASS", "CLASSTYPE", "STATUS", "ORDER_OBS",
)  # fmt: skip
_ENDED = frozenset({"DEPRECATED", "DISCOURAGED"})


def _read(source: Source) -> Iterator[Entry]:
    parents, parts = _hierarchy(source)
    for code, text in parts.items():
        yield Entry(code, text, parents.get(code, ()), properties={"kind": ("part",)})
    with source.text(_TABLE) as lines:
        for row in csv.DictReader(lines):
            yield _entry(row, parents.get(row["LOINC_NUM"], ()))


def _entry(row: dict[str, str], parents: tuple[str, ...]) -> Entry:
    code = row["LOINC_NUM"]
    names = [row.get(name, "") for name in ("LONG_COMMON_NAME", "SHORTNAME", "DisplayName", "CONSUMER_NAME")]
    names += [row.get("RELATEDNAMES2", "").replace(";", " ")]
    properties = {name: (row[name],) for name in _PROPERTIES if row.get(name)}
    display = names[0] or names[1]
    return Entry(code, display, parents, row.get("STATUS") not in _ENDED, more=names[1:], properties=properties)


def _hierarchy(source: Source) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """(code -> codes right above it, part -> its name); both empty if the release's hierarchy is not at hand."""
    parents: dict[str, tuple[str, ...]] = {}
    parts: dict[str, str] = {}
    if not source.has(_HIERARCHY):
        return parents, parts
    with source.text(_HIERARCHY) as lines:
        for row in csv.DictReader(lines):
            code, above = row["CODE"], row["IMMEDIATE_PARENT"]
            if above and above not in parents.get(code, ()):
                parents[code] = (*parents.get(code, ()), above)
            if code.startswith("LP"):
                parts[code] = row.get("CODE_TEXT", "")
    return parents, parts


DISTRIBUTION = Distribution(
    "loinc", "http://loinc.org", "LOINC", "Loinc_N.NN.zip as released, its folder, or Loinc.csv alone", _read
)
