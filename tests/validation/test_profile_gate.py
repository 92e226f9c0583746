"""The fast gate of a profile and the checks that find the words are two readings of one definition."""

import copy
import json
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.fhir.definitions import Definitions, load
from fhir_server.terminology.codes import Terminology
from fhir_server.validation.findings import Findings
from fhir_server.validation.profile import ProfileValidator
from fhir_server.validation.profile_compile import Compiler
from fhir_server.validation.profile_gate import compile_gate
from fhir_server.validation.profile_tree import tree
from tests.laws import examples
from tests.validation.test_ecm_profiles import EXAMPLES, MUTANTS, PACKAGES, mutated


@cache
def installed() -> Definitions:
    return load(PACKAGES)


@cache
def readings(canonical: str):
    """(gate, checks) of a profile."""
    terminology, root = Terminology(installed()), tree(installed().resource(canonical), installed())
    others = ProfileValidator(installed(), terminology)
    return compile_gate(root, installed(), terminology, others), Compiler(installed(), terminology, others).compile(
        root
    )


def verdicts(resource: dict) -> list[tuple[bool, bool]]:
    """(the gate lets it pass, the checks find nothing) under every ECM profile that the resource claims."""
    found = []
    for canonical in resource.get("meta", {}).get("profile", ()):
        if installed().resource(canonical) is not None:
            gate, check = readings(canonical)
            issues = Findings(resource)
            check(resource, resource["resourceType"], issues)
            found.append((gate(resource), not issues))
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_conforms_passes_the_gate(name):
    """Extensions of primitives are left to the checks, which count them."""
    is_plain = '"_' not in json.dumps(EXAMPLES[name])
    assert all(verdict in ((True, True), (is_plain, True)) for verdict in verdicts(EXAMPLES[name]))


def test_no_mutant_passes_the_gate():
    """EC-01 to EC-08: the gate lets nothing pass in which the checks find something."""
    found = [verdict for mutant in MUTANTS for verdict in verdicts(mutated(mutant))]
    assert len(found) > 100, "the mutants were looked at"
    assert (False, False) in found
    assert (True, False) not in found


def places(node, way=()):
    """The way to everything in a resource."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield (*way, key)
        yield from places(child, (*way, key))


@st.composite
def damaged(draw) -> dict:
    """An example with some parts left out, doubled, or put in place of others."""
    resource = copy.deepcopy(EXAMPLES[draw(st.sampled_from(sorted(EXAMPLES)))])
    for _ in range(draw(st.integers(1, 3))):
        way = draw(st.sampled_from([way for way in places(resource) if way[0] not in ("resourceType", "meta")]))
        parent = resource
        for key in way[:-1]:
            parent = parent[key]
        _damage(draw, parent, way[-1])
    return resource


def _damage(draw, parent, key) -> None:
    what = draw(st.sampled_from(("leave out", "double", "other text")))
    if what == "leave out":
        del parent[key]
    elif what == "double" and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[key]))
    elif isinstance(parent[key], str):
        parent[key] = draw(st.sampled_from(("", "x", "Practitioner/1", "2026-01-01", "active", "cancelled")))


@settings(max_examples=examples(60), deadline=None)
@given(damaged())
def test_the_gate_lets_pass_only_what_the_checks_accept(resource):
    assert (True, False) not in verdicts(json.loads(json.dumps(resource)))
