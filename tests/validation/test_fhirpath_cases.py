"""HL7's own FHIRPath cases, as far as the closures go: what they answer is right; the rest is left to the library.

https://github.com/HL7/FHIRPath/tree/master/tests
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from fhir_server.validation.invariant_parser import Parser
from fhir_server.validation.invariant_steps import CannotTellError
from fhir_server.validation.invariant_tokens import BeyondError

# Case -> why the answer differs.
DIFFERENT = {
    "testExtractBirthDate": "the case writes dates with @",
    "testType22": "System.Patient is taken for Patient: no rule names it",
    "testFHIRPathIsFunction8": "the extension is in the XML form of the example alone",
    "testFHIRPathIsFunction9": "as above",
    "testFHIRPathIsFunction10": "as above",
}
READ = {"boolean": lambda text: text == "true", "integer": int, "decimal": float}


def answered(case: Any, resource: dict) -> list | None:
    """What the closures find; None if they leave the expression to the library or cannot tell."""
    try:
        return Parser(case.find("expression").text).whole()([resource])
    except (BeyondError, CannotTellError):
        return None


def same(found: list, case: Any) -> bool:
    """Values of primitives are compared, of others their number is."""
    wanted = [READ.get(one.get("type"), str)(one.text) for one in case.findall("output")]
    if case.get("predicate") == "true" and not (found and isinstance(found[0], bool)):
        found = [bool(found)]
    return len(found) == len(wanted) if any(isinstance(one, dict) for one in found) else found == wanted


def test_the_published_cases(shared_data: Path):
    """B-18: every answer of a rule is FHIRPath's."""
    folder = shared_data / "r4-test-cases"
    if not folder.is_dir():
        pytest.skip("the published cases are not at hand")
    counts, wrong = Counter(), {}
    for case in etree.parse(folder / "fhirpath" / "tests-fhir-r4.xml").getroot().iter("test"):
        path = folder / "examples" / case.get("inputfile", "none").replace(".xml", ".json")
        if not path.is_file() or case.find("expression").get("invalid"):
            continue
        found = answered(case, json.loads(path.read_bytes()))
        counts["left" if found is None else "answered"] += 1
        if found is not None and not same(found, case):
            wrong[case.get("name")] = found
    assert wrong.keys() == DIFFERENT.keys(), wrong
    assert counts["answered"] > 200
