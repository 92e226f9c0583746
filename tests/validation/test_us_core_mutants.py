"""A thousand mutants of US Core's own examples: what the published snapshots forbid is refused where it stands.

https://hl7.org/fhir/us/core/
"""

import json
import random
import tarfile
import time
from collections import Counter
from itertools import chain
from typing import NamedTuple

import pytest

from fhir_server.fhir.definitions import Definitions, core_elements, load
from fhir_server.fhir.errors import FHIRError
from fhir_server.terminology.codes import Terminology
from fhir_server.validation import structure
from fhir_server.validation.binding import codings
from fhir_server.validation.profile import ProfileValidator
from tests.validation.us_core_mutants import Json, Mutant, broken_rules, mutants

MANY = 1000
PER_KIND = 150
SEED = 401
FOREIGN = {("not-supported", "Questionnaire.meta.profile[0]")}
"""Claims of another guide that is not installed."""


class Guide(NamedTuple):
    """A published package: its definitions, its examples by name, and what checks them."""

    definitions: Definitions
    examples: dict[str, Json]
    terminology: Terminology
    validator: ProfileValidator

    def refused(self, resource: Json) -> list:
        """Every issue that a write of the resource would be refused for."""
        try:
            structure.check(resource["resourceType"], resource)
        except FHIRError as error:
            return list(error.issues)
        return self.validator.check(resource["resourceType"], resource)

    def judges(self, value_set: str, value: object) -> bool:
        """Whether what is installed can tell that a code of no one's is outside the value set."""
        if any(core_elements().codes(value_set.partition("|")[0]).values()):
            return True
        found = [(system, "no-such-code") for system, _ in codings(value)] if not isinstance(value, list) else []
        return bool(found) and all(self.terminology.contains(value_set, *one) is False for one in found)


@pytest.fixture(scope="module", params=["us_core_610", "us_core_700"])
def guide(request: pytest.FixtureRequest, shared_data, tmp_path_factory) -> Guide:
    folder = tmp_path_factory.mktemp(request.param)
    with tarfile.open(shared_data / f"{request.param}.tgz") as archive:
        archive.extractall(folder, filter="data")
    definitions = load([folder / "package"])
    terminology = Terminology(definitions)
    paths = sorted((folder / "package" / "example").glob("*.json"))
    examples = {path.stem: json.loads(path.read_text()) for path in paths}
    return Guide(definitions, examples, terminology, ProfileValidator(definitions, terminology))


def test_the_examples_themselves_are_right(guide):
    """B-18: both checks, of every example that the guide publishes."""
    issues = [issue for one in guide.examples.values() for issue in guide.refused(one)]
    assert {(one.code, one.expression) for one in issues} <= FOREIGN
    assert len(guide.examples) > 180


def all_mutants(guide: Guide) -> list[Mutant]:
    found: list[Mutant] = []
    for name, resource in guide.examples.items():
        for url in resource.get("meta", {}).get("profile", ()):
            if definition := guide.definitions.resource(url):
                rows = definition["snapshot"]["element"]
                made = chain(mutants(name, resource, rows, guide.judges), broken_rules(name, resource, rows))
                found += made
    return found


def drawn(every: list[Mutant]) -> list[Mutant]:
    """Some of every kind, the same at each run."""
    chance, kinds = random.Random(SEED), sorted({one.kind for one in every})
    chosen: list[Mutant] = []
    for kind in kinds:
        same = [one for one in every if one.kind == kind]
        chosen += chance.sample(same, min(len(same), PER_KIND))
    rest = [one for one in every if one not in chosen]
    return [*chosen, *chance.sample(rest, max(0, min(len(rest), MANY - len(chosen))))]


@pytest.mark.long
def test_a_thousand_mutants_are_refused_at_their_place(guide, capsys):
    """B-18, B-19 and catalogue row 43: each is refused, and an issue names the element."""
    chosen = drawn(all_mutants(guide))
    missed, kinds, started = [], Counter(one.kind for one in chosen), time.perf_counter()
    for one in chosen:
        issues = guide.refused(one.applied(guide.examples[one.example]))
        if not any(one.named_by(issue.code, issue.expression) and issue.diagnostics for issue in issues):
            missed.append((one.kind, one.example, one.path, [(issue.code, issue.expression) for issue in issues]))
    with capsys.disabled():
        print(f"\n{len(chosen)} mutants in {time.perf_counter() - started:.1f} s, {len(missed)} missed")
        print("\n".join(f"{number:5} {kind}" for kind, number in sorted(kinds.items())))
    assert missed == []
    assert len(chosen) >= MANY
