"""Index rows from generated functions are what a FHIRPath engine finds (the oracle), over the official examples."""

import json
import re
from collections import defaultdict
from dataclasses import replace

import pytest
from fhirpathpy import compile as fhirpath
from fhirpathpy.models import models

from fhir_server.search import decimals
from fhir_server.search.expression import Unsupported, data_types, tracks
from fhir_server.search.extract import REVISION, Extractor, parameters
from fhir_server.search.text import clip, fold, next_text, split, unescape
from fhir_server.store.hashing import rh, system_hash
from tests.laws import OF_THE_EXCHANGE, often_and_all
from tests.search import oracle
from tests.search.stored import BASE, DEFINITIONS, PARAMS, extractor

CODES = {number: pair for pair, number in PARAMS.items()}
BLIND = {("CarePlan", "activity-date")}  # the engine takes a scheduledString for a date; by its type it is none
AS = re.compile(
    r"\(([\w.]+) as (\w+)\)|([\w.]+)\.as\((\w+)\)"
)  # the engine wants a single value there; ofType means the same
RESOLVED = re.compile(r"\.where\(resolve\(\) is (\w+)\)")


def rows(resource):
    """(code -> its rows) of a resource, from the generated function."""
    found, by_code = extractor().rows(resource["resourceType"], resource), defaultdict(set)
    for name in found._fields[:-1]:  # words belong to no parameter
        values = getattr(found, name)
        assert len(values) == len(set(values))
        for number, *value in values:
            kind, code = CODES[number]
            assert kind == resource["resourceType"]
            by_code[code].add(tuple(value))
    return by_code


_ENGINE = {}


def by_engine(expression, resource):
    """What the FHIRPath engine finds; types of references are filtered here, because it cannot resolve them."""
    only = RESOLVED.findall(expression)
    expression = (
        expression.replace("Resource.", f"{resource['resourceType']}.")
        if expression.startswith("Resource.")
        else expression
    )
    if expression not in _ENGINE:
        many = AS.sub(lambda m: f"{m[1] or m[3]}.ofType({m[2] or m[4]})", RESOLVED.sub("", expression))
        _ENGINE[expression] = fhirpath(many, model=models["r4"])
    found = _ENGINE[expression](resource, {})
    if only:
        found = [one for one in found if one.get("reference", "").rpartition("/")[0].rpartition("/")[2] in only]
    return found


def expected_tokens(found):
    pairs = {pair for one in found for pair in oracle._pairs(one)}
    capital = {
        (system, code.upper() if system in oracle.WITHOUT_CASE and re.search(r"\d", code) else code)
        for system, code in pairs
    }
    return {(clip(code), system_hash(system)) for system, code in capital}


def small(found):
    """Texts and contacts are kept in small letters."""
    return {(code.lower(), system) for code, system in found}


def expected_strings(found):
    texts = {text for one in found for text in oracle._texts(one)}
    return {(oracle.plain(" ".join(text.split()))[:200], clip(text)) for text in texts}


def own(rows):
    """Rows of whole texts, without what they also begin with."""
    return {row for row in rows if row[-1]}


def expected_dates(found):
    spans = set()
    for one in found:
        if isinstance(one, dict) and ("event" in one or "repeat" in one):
            continue  # Timing has a test of its own
        spans |= {
            (-(2**63) if low == oracle.START else low, 2**63 - 1 if high == oracle.END else high)
            for low, high in oracle._spans(one)
        }
    return spans


def expected_references(found):
    targets = set()
    for one in found:
        if isinstance(one, str):
            targets |= {rh(one), rh(one.partition("|")[0])}
        elif "resourceType" in one:
            targets |= {rh(f"{one['resourceType']}/{one['id']}")} if "id" in one else set()
        else:
            targets |= {rh(text) for text in oracle.references({"x": one}, "x")}
    return {(target,) for target in targets}


def expected_uris(found):
    return {(text,) for one in found for text in (one, one.partition("|")[0] if "|" in one else one)}


def expected_numbers(found):
    amounts = {one[:2] for value in found for one in oracle._amounts(value)}
    return {(edge_key(low), edge_key(high)) for low, high in amounts}


def expected_quantities(found):
    amounts = {one for value in found for one in oracle._amounts(value)}
    return {
        (edge_key(low), edge_key(high), system_hash(system), clip(code), clip(word))
        for low, high, (system, code, word) in amounts
    }


def edge_key(number):
    """The server's key for an end that the oracle writes as a number, a hair beside it where the end is open."""
    if number in (oracle.LOW, oracle.HIGH):
        return decimals.OPEN_START if number == oracle.LOW else decimals.OPEN_END
    beside = {1: decimals.ABOVE, 9: decimals.BELOW}.get(int(number / oracle.TINY) % 10, decimals.EXACT)
    return decimals.key(round(number, 8).normalize(), beside) if beside != decimals.EXACT else decimals.key(number)


EXPECTED = {
    "number": expected_numbers,
    "quantity": expected_quantities,
    "token": expected_tokens,
    "string": expected_strings,
    "date": expected_dates,
    "reference": expected_references,
    "uri": expected_uris,
}


@pytest.mark.parametrize("types", often_and_all(OF_THE_EXCHANGE))
def test_official_examples(shared_data, types):
    """Every parameter of every official example: the generated function against the FHIRPath engine."""
    compared = 0
    for path in sorted((shared_data / "r4-examples").glob("*.json")):
        resource = json.loads(path.read_text())
        kind = resource["resourceType"]
        if types and kind not in types:
            continue
        found = rows(resource)
        for code, param in DEFINITIONS.search_params(kind).items():
            if (kind, code) not in PARAMS or (kind, code) in BLIND or param.type in ("composite", "special"):
                continue
            wanted = EXPECTED[param.type](by_engine(param.expression, resource))
            got = {row for row in found[code] if row != ("", 0)}
            if data_types(DEFINITIONS, kind, param.expression) <= {"string", "ContactPoint"}:
                wanted = small(wanted) if param.type == "token" else wanted
            if param.type == "string":
                got = own(got)
            if param.type == "date":
                got = {row for row in got if row in wanted or row[1] - row[0] <= 366 * 86_400_000}
            assert got == wanted, (path.name, code, param.expression)
            compared += len(wanted)
    assert compared > (500 if types else 1500)


def test_every_expression_is_understood():
    """R4's own parameters never need the slower engine."""
    for kind, code in PARAMS:
        if ":" not in code:
            param = DEFINITIONS.search_params(kind)[code]
            if " and " in param.expression:
                continue  # Patient.deceased, whose own form the generator knows
            assert tracks(DEFINITIONS.elements, kind, param.expression), (kind, code)


@pytest.mark.parametrize(
    ("deceased", "expected"),
    [
        ({}, "false"),
        ({"deceasedBoolean": False}, "false"),
        ({"deceasedBoolean": True}, "true"),
        ({"deceasedDateTime": "2026"}, "true"),
    ],
)
def test_deceased(deceased, expected):
    """The one expression of R4 that computes a truth value."""
    assert rows({"resourceType": "Patient", "id": "p", **deceased})["deceased"] == {(expected, 0)}


def test_polymorphic_and_filtered():
    """value[x] by its type, telecom by its system, extensions by their url."""
    observation = {
        "resourceType": "Observation",
        "id": "o",
        "valueCodeableConcept": {"coding": [{"code": "c"}], "text": "Té"},
    }
    assert rows(observation)["value-concept"] == {("c", 0)}
    assert rows(observation)["value-string"] == {("te", "Té")}
    telecom = [{"system": "phone", "value": "1"}, {"system": "email", "value": "2"}]
    patient = rows({"resourceType": "Patient", "id": "p", "telecom": telecom})
    assert patient["phone"] == {("1", system_hash("phone"))}
    assert patient["email"] == {("2", system_hash("email"))}


def test_timing_is_its_outer_limits():
    request = {
        "resourceType": "ServiceRequest",
        "id": "s",
        "occurrenceTiming": {
            "event": ["2026-03-01", "2026-03-05"],
            "repeat": {"boundsPeriod": {"start": "2026-02-01"}},
        },
    }
    assert rows(request)["occurrence"] == {(oracle.span("2026-02-01")[0], 2**63 - 1)}


def test_references_in_every_spelling():
    """B-40: ours without base and version; foreign ones as written; contained ones not at all."""
    written = {
        "Patient/1": rh("Patient/1"),
        "Patient/1/_history/4": rh("Patient/1"),
        f"{BASE}/Patient/1": rh("Patient/1"),
        "https://there.example/Patient/1": rh("https://there.example/Patient/1"),
        "urn:uuid:1": rh("urn:uuid:1"),
    }
    for text, target in written.items():
        found = rows({"resourceType": "Task", "id": "t", "focus": {"reference": text}})
        assert found["focus"] == {(target,)}, text
        assert "focus:identifier" not in found
    contained = rows({"resourceType": "Task", "id": "t", "focus": {"reference": "#x"}})
    assert "focus" not in contained
    assert contained["focus:identifier"] == {("\x1fx", 0)}  # present; a chain alone leads there


def test_logical_references():
    """B-41."""
    found = rows(
        {"resourceType": "Task", "id": "t", "for": {"type": "Patient", "identifier": {"system": "s", "value": "v"}}}
    )
    assert found["subject:identifier"] == found["patient:identifier"] == {("v", system_hash("s"))}
    other = rows({"resourceType": "Task", "id": "t", "for": {"type": "Group", "identifier": {"value": "v"}}})
    assert "patient:identifier" not in other


def test_canonicals_with_and_without_version():
    """B-52: url alone finds any version."""
    found = rows({"resourceType": "Task", "id": "t", "meta": {"profile": ["http://p|1"]}})
    assert found["_profile"] == {("http://p|1",), ("http://p",)}


def test_null_in_a_primitive_array():
    """B-19: null only keeps arrays aligned."""
    found = rows(
        {"resourceType": "Patient", "id": "p", "name": [{"given": [None, "Ann"], "_given": [{"id": "x"}, None]}]}
    )
    assert found["given"] == {("ann", "Ann")}


def test_an_unusual_expression_goes_to_the_engine():
    """What the generator does not understand, the FHIRPath engine evaluates."""

    class Extended:
        types, elements = DEFINITIONS.types, DEFINITIONS.elements

        @staticmethod
        def search_params(kind):
            code = replace(
                DEFINITIONS.search_params("Task")["code"], expression="Task.code.coding.where(code.startsWith('a'))"
            )
            return {"code": code} if kind == "Task" else {}

    with pytest.raises(Unsupported):
        tracks(DEFINITIONS.elements, "Task", Extended.search_params("Task")["code"].expression)
    odd = Extractor(Extended(), {("Task", "code"): 7})
    task = {"resourceType": "Task", "code": {"coding": [{"system": "s", "code": "ab"}, {"code": "b"}]}}
    assert odd.rows("Task", task).tok == [(7, "ab", system_hash("s"))]


def test_generation_follows_the_parameters():
    """Stored rows can be told from those that today's parameters would give."""
    one, other = extractor().generation, extractor().generation
    assert one("Task") == other("Task") != one("Patient") == other("Patient") != 0
    assert REVISION
    assert len(parameters(DEFINITIONS)) == len(set(parameters(DEFINITIONS))) > 2000


def test_folding():
    """B-35: letter case, accents, typographic apostrophes, spaces."""
    assert fold("Muñoz") == fold("MUNOZ") == "munoz"
    assert fold("O\u2019Brien\u2013Smith") == "o'brien-smith"
    assert fold("  García\tLópez ") == "garcia lopez"
    assert fold("Straße") == "strasse"


def test_long_values_stay_different():
    """A value of any length can be stored and found by equality."""
    first, second = "x" * 5000, "x" * 4999 + "y"
    assert clip(first) != clip(second)
    assert len(clip(first)) < 250


def test_next_text():
    """The end of a prefix range, by code points."""
    assert next_text("ab") == "ac"
    assert next_text("a\ud7ff") == "a\ue000"
    assert next_text("a\U0010ffff") == "b"
    assert next_text("\U0010ffff") > "\U0010ffff"


def test_split_and_unescape():
    """B-31."""
    assert split(r"a\,b,c\\,d", ",") == [r"a\,b", r"c\\", "d"]
    assert unescape(r"a\,b\|c\$d\\e\f") == r"a,b|c$d\e\f"
