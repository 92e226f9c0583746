"""FHIRPath Patch: HL7's cases, what leads from any example to any other, and over HTTP."""

from pathlib import Path
from time import monotonic
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from fhir_server.fhir import difference, xml
from fhir_server.fhir.errors import FHIRError
from fhir_server.rest import fhirpath_patch
from tests.live import Client
from tests.rest.scene import stored

pytestmark = pytest.mark.heavy

FHIR = {"Content-Type": "application/fhir+json"}
CASES = 33


def operation(kind: str, path: str, value: Any = None, **more: Any) -> dict[str, Any]:
    parts = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    parts += [{"name": "name", "valueString": more.pop("name")}] if "name" in more else []
    parts += [{"name": "value", **value}] if value is not None else []
    parts += [{"name": name, "valueInteger": number} for name, number in more.items()]
    return {"name": "operation", "part": parts}


def patch_of(*operations: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(operations)}


def applied(patch: Any, resource: Any) -> Any:
    body = orjson.dumps(resource)
    return orjson.loads(fhirpath_patch.apply(fhirpath_patch.operations(orjson.dumps(patch)), body, "Patient"))


def same_in_xml(one: Any, other: Any) -> bool:
    """Equal but for the space between the tags of a narrative."""
    texts = [etree.tostring(etree.fromstring(xml.from_json(orjson.dumps(it))), method="c14n") for it in (one, other)]
    return texts[0].split() == texts[1].split()


def test_the_published_cases(shared_data: Path) -> None:
    """B-57: HL7's test cases for FHIRPath Patch, all of them."""
    tree = etree.parse(shared_data / "r4-test-cases" / "patch" / "fhir-patch-tests.xml")
    done = 0
    for case in tree.iter("case"):
        given_, patch = (orjson.loads(xml.to_json(etree.tostring(case.find(name)[0]))) for name in ("input", "diff"))
        if case.find("error") is not None:
            with pytest.raises(FHIRError):
                applied(patch, given_)
        else:
            expected = orjson.loads(xml.to_json(etree.tostring(case.find("output")[0])))
            assert same_in_xml(applied(patch, given_), expected), case.get("name")
        done += 1
    assert done == CASES


def test_differences_are_patches(shared_data: Path) -> None:
    """Law: what leads from one version to another, applied to the one, gives the other."""
    examples: dict[str, list[Any]] = {}
    for path in sorted((shared_data / "r4-examples").glob("*.json")):
        resource = orjson.loads(path.read_bytes())
        resource.pop("meta", None)
        examples.setdefault(resource["resourceType"], []).append(resource)
    tried = 0
    for kind in ("CarePlan", "Condition", "Consent", "Coverage", "Goal", "Patient", "Task"):
        for old, new in zip(examples[kind], examples[kind][1:], strict=False):
            steps = fhirpath_patch.operations(orjson.dumps(patch_of(*difference.difference(old, new))))
            made = orjson.loads(fhirpath_patch.apply(steps, orjson.dumps(old), kind)) if not _fixed(old, new) else new
            assert {**made, "id": ""} == {**new, "id": ""}
            tried += 1
    assert tried > 20


def _fixed(old: Any, new: Any) -> bool:
    names = ("subject", "patient", "for", "beneficiary", "owner")
    return any(old.get(name) != new.get(name) for name in names)


NAMES = st.lists(st.text("abc", min_size=1), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(NAMES, st.data())
def test_lists_as_python_has_them(names: list[str], data: st.DataObject) -> None:
    """insert, delete and move do to a list what a list does."""
    patient = {"resourceType": "Patient", "name": [{"given": list(names)}]}
    index = data.draw(st.integers(0, len(names)))
    got = applied(patch_of(operation("insert", "Patient.name[0].given", {"valueString": "x"}, index=index)), patient)
    assert got["name"][0]["given"] == [*names[:index], "x", *names[index:]]
    source, destination = (data.draw(st.integers(0, len(names) - 1)) for _ in range(2))
    got = applied(patch_of(operation("move", "name.given", source=source, destination=destination)), patient)
    expected = list(names)
    expected.insert(destination, expected.pop(source))
    assert got["name"][0]["given"] == expected
    got = applied(patch_of(operation("delete", f"Patient.name.first().given[{source}]")), patient)
    left = names[:source] + names[source + 1 :]
    assert got.get("name") == ([{"given": left}] if left else None)


def test_over_http(clinic: Client) -> None:
    """B-57: what is not touched keeps its bytes, decimals and all; the ETag counts on."""
    body = b'{"resourceType":"Observation","status":"final","code":{ "text" : "a" },"valueQuantity":{"value":1.10}}'
    made = clinic.post("Observation", body)
    path = f"Observation/{made.json()['id']}"
    steps = patch_of(
        operation("replace", "Observation.status", {"valueCode": "amended"}),
        operation("add", "Observation", {"valueAnnotation": {"text": "said"}}, name="note"),
    )
    answer = clinic.patch(path, steps, headers={**FHIR, "If-Match": 'W/"1"'})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["note"]) == ("amended", [{"text": "said"}])
    assert b'"code":{ "text" : "a" },"valueQuantity":{"value":1.10}' in answer.content
    assert answer.headers["ETag"] == 'W/"2"'
    precise = patch_of(operation("replace", "Observation.value", {"valueQuantity": {"value": 1}}))
    text = orjson.dumps(precise).replace(b'"value":1}', b'"value":2.50}')
    assert b'"valueQuantity":{"value":2.50}' in clinic.patch(path, text, headers=FHIR).content
    other = patch_of(operation("replace", "Observation.value", {"valueInteger": 7}))
    assert clinic.patch(path, other, headers=FHIR).json()["valueInteger"] == 7
    assert "valueQuantity" not in clinic.get(path).json()


REFUSED = [
    (patch_of(operation("fly", "Basic.code")), "processing"),
    (patch_of(operation("replace", "Basic.created", {"valueDate": "2026"})), "processing"),
    (patch_of(operation("replace", "Basic.foo", {"valueDate": "2026"})), "processing"),
    (patch_of(operation("add", "Basic", {"valueDate": "2026"})), "processing"),
    (patch_of(operation("add", "Basic.author", {"valueString": "a"}, name="display")), "processing"),
    (patch_of(operation("add", "Basic", {"valueString": "a"}, name="created")), "value"),
    (patch_of(operation("delete", "Basic.identifier")), "processing"),
    (patch_of(operation("delete", "Basic.code")), "required"),
    (patch_of(operation("insert", "Basic.identifier", {"valueIdentifier": {"value": "a"}}, index=9)), "processing"),
    (patch_of(operation("move", "Basic.identifier", source=0, destination=9)), "processing"),
    (patch_of(operation("replace", "Basic.identifier.where(", {"valueString": "a"})), "processing"),
    (patch_of(operation("replace", "Basic.code.where(text.matches('(a+)+b'))", {"valueString": "a"})), "processing"),
    (patch_of(operation("replace", "Basic.id", {"valueId": "other"})), "business-rule"),
    (patch_of(operation("add", "Basic.meta", {"valueCoding": {"code": "a"}}, name="tag")), "business-rule"),
    (patch_of(operation("add", "Basic", {"valueReference": {"display": "a"}}, name="subject")), "business-rule"),
    (patch_of(operation("delete", "Basic")), "processing"),
    ({"resourceType": "Patient"}, "processing"),
    (patch_of(*[operation("delete", "Basic.language")] * 201), "processing"),
    (patch_of(*[operation("delete", "Basic.identifier.where(value = 'a')")] * 21), "processing"),
    ({"resourceType": "Parameters", "parameter": [{"name": "operation", "foo": 1}]}, "structure"),
    ([], "structure"),
]  # fmt: skip


@pytest.mark.parametrize(("patch", "code"), REFUSED)
def test_a_patch_that_cannot_be(clinic: Client, patch: Any, code: str) -> None:
    """Rows 64 and 65, B-57: 422 and nothing changed, not even what stands before the failing operation."""
    two = [{"value": "1"}, {"value": "2"}]
    made = stored(clinic, {"resourceType": "Basic", "code": {"text": "a"}, "identifier": two})
    if isinstance(patch, dict) and "parameter" in patch and code != "structure":
        patch = patch_of(operation("add", "Basic", {"valueCode": "en"}, name="language"), *patch["parameter"])
    answer = clinic.patch(f"Basic/{made['id']}", patch, headers=FHIR)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (422, code), answer.text
    assert clinic.get(f"Basic/{made['id']}").json() == made


def test_in_a_bundle(clinic: Client) -> None:
    """B-57, B-61: an entry carries the Parameters themselves."""
    made = stored(clinic, {"resourceType": "Basic", "code": {"text": "a"}})
    entry = {
        "request": {"method": "PATCH", "url": f"Basic/{made['id']}"},
        "resource": patch_of(operation("replace", "Basic.code.text", {"valueString": "b"})),
    }
    answer = clinic.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    assert answer.status_code == 200, answer.text
    assert clinic.get(f"Basic/{made['id']}").json()["code"] == {"text": "b"}


def test_long_resources_are_not_searched_again_and_again(clinic: Client) -> None:
    """A patch whose paths would go through megabytes many times is refused before it does."""
    names = [{"family": "x" * 100, "given": ["a"] * 20} for _ in range(2000)]
    made = stored(clinic, {"resourceType": "Patient", "name": names})
    paths = [f"Patient.name.where(family.length() > {number}).family" for number in range(15)]
    patch = patch_of(*[operation("replace", path, {"valueString": "y"}) for path in paths])
    assert clinic.patch(f"Patient/{made['id']}", patch, headers=FHIR).status_code == 413
    chain = "Patient.name" + ".where(family.exists())" * 40 + ".family"
    began = monotonic()
    once = clinic.patch(f"Patient/{made['id']}", patch_of(operation("delete", chain)), headers=FHIR)
    assert (once.status_code, monotonic() - began < 2) == (413, True)
    plain = patch_of(operation("replace", "Patient.name[1999].family", {"valueString": "y"}))
    assert clinic.patch(f"Patient/{made['id']}", plain, headers=FHIR).status_code == 200


@pytest.mark.parametrize("path", [
    "Basic.identifier.where(value.matches/* */('(a|a|a|aa)+$'))",
    "Basic.identifier.where(value.replace//\n('', 'bbbbbbbb').length() > 1)",
    "Basic.identifier.where(1.5.round(100000) = 1)",
    "(Basic.identifier | Basic.identifier).where(value = 'a')",
    "Basic.identifier.where(%context.identifier.where(value = 'b').exists())",
])  # fmt: skip
def test_no_path_keeps_the_server_busy(clinic: Client, path: str) -> None:
    """T24, T29: what could run for minutes is refused however it is written; the server has one interpreter for all."""
    made = stored(clinic, {"resourceType": "Basic", "code": {"text": "a"}, "identifier": [{"value": "a" * 40 + "!"}]})
    began = monotonic()
    answer = clinic.patch(f"Basic/{made['id']}", patch_of(operation("delete", path)), headers=FHIR)
    assert (answer.status_code, monotonic() - began < 5) == (422, True), answer.text


@pytest.mark.parametrize("rounds", [8, 40])
def test_depth_upon_depth(clinic: Client, rounds: int) -> None:
    """Row 17, P14: operations that hang one deep structure below the other are refused, in no time."""
    made = stored(clinic, {"resourceType": "Basic", "code": {"text": "a"}})
    deep: dict[str, Any] = {"name": "extension", "part": [{"name": "url", "valueUri": "urn:a"}]}
    for _ in range(27):
        deep = {"name": "extension", "part": [{"name": "url", "valueUri": "urn:a"}, deep]}
    paths = ["Basic" + ".extension[0]" * 28 * number for number in range(rounds)]
    patch = patch_of(*[operation("add", path, {"part": deep["part"]}, name="extension") for path in paths])
    began = monotonic()
    answer = clinic.patch(f"Basic/{made['id']}", patch, headers=FHIR)
    assert (answer.status_code, monotonic() - began < 5) == (422, True), answer.text
    assert clinic.get(f"Basic/{made['id']}").json() == made
