"""Whose record a resource is: the one Patient it speaks of.  https://hl7.org/fhir/R4/compartmentdefinition-patient.html

Task is not in R4's Patient compartment, yet it is how referrals travel: it is counted in by `Task.for`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.fhir.definitions import Definitions

_SIMPLE = re.compile(r"\(?([A-Z]\w*)((?:\.[a-z]\w*)+?)(?:\.where\(resolve\(\) is \w+\))?(?: as Reference\))?\)?")
_EXTRA = {"Task": ("for",), "Provenance": ("patient",)}


class PatientFinder:
    """Finds the patient of a resource from the Patient compartment's own search parameters."""

    def __init__(self, definitions: Definitions) -> None:
        self._paths = {type_: _paths(definitions, type_) for type_ in definitions.types}

    def find(self, type_: str, fid: str | None, resource: Mapping[str, Any]) -> str | None:
        """The "Patient/id" whose record this is; None where there is none or more than one."""
        if type_ == "Patient":
            return f"Patient/{fid}" if fid else None
        found: set[str] = set()
        for path in self._paths[type_]:
            if path[0] in resource:
                _gather(resource[path[0]], path, 1, found)
        return found.pop() if len(found) == 1 else None


def _paths(definitions: Definitions, type_: str) -> tuple[tuple[str, ...], ...]:
    codes = (*definitions.compartment("Patient").get(type_, ()), *_EXTRA.get(type_, ()))
    params = definitions.search_params(type_)
    paths: set[tuple[str, ...]] = {("for",)} if type_ == "Task" else set()
    for code in codes:
        if code in params:
            paths |= set(_simple_paths(params[code].expression, type_))
    return tuple(sorted(paths))


def _simple_paths(expression: str, type_: str) -> Iterator[tuple[str, ...]]:
    for part in expression.split("|"):
        match = _SIMPLE.fullmatch(part.strip())
        if match and match[1] == type_:
            yield tuple(match[2].strip(".").split("."))


def _gather(node: Any, path: tuple[str, ...], depth: int, found: set[str]) -> None:
    """Add the references to Patients at the rest of a path, from its `depth` on."""
    if type(node) is list:
        for item in node:
            _gather(item, path, depth, found)
    elif type(node) is not dict:
        return
    elif depth < len(path):
        _gather(node.get(path[depth]), path, depth + 1, found)
    elif str(node.get("reference", "")).startswith("Patient/"):
        found.add(node["reference"].partition("/_history/")[0])
