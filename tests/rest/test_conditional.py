"""Conditional create, update, delete and patch, and JSON Patch."""

import base64
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.live import Client, LiveServer, running

BASIC = {"resourceType": "Basic", "code": {"text": "a"}}


def named(value: str, **more: Any) -> dict[str, Any]:
    return {**BASIC, "identifier": [{"system": "urn:names", "value": value}], **more}


def count(client: Client, value: str) -> int:
    return int(client.get(f"Basic?identifier=urn:names|{value}&_summary=count").json()["total"])


def test_conditional_create(server: LiveServer, clinic: Client) -> None:
    """B-54: 0 matches 201; 1 match 200, nothing written, Location of the one there is."""
    headers = {"If-None-Exist": "identifier=urn:names|one"}
    first = clinic.post("Basic", named("one"), headers=headers)
    second = clinic.post("Basic", named("one", author={"display": "b"}), headers=headers)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.headers["Location"] == first.headers["Location"]
    assert second.headers["ETag"] == 'W/"1"'
    assert second.json() == first.json()
    assert count(clinic, "one") == 1
    minimal = clinic.post("Basic", named("one"), headers={**headers, "Prefer": "return=minimal"})
    assert (minimal.status_code, minimal.content) == (200, b"")
    whole = {"If-None-Exist": "Basic?identifier=urn:names|one"}
    assert clinic.post("Basic", named("one"), headers=whole).status_code == 200


def test_conditions_see_what_the_caller_sees(clinic: Client, stranger: Client) -> None:
    """B-54: what is hidden is not matched, so that its existence does not show."""
    headers = {"If-None-Exist": "identifier=urn:names|both"}
    assert clinic.post("Basic", named("both"), headers=headers).status_code == 201
    assert stranger.post("Basic", named("both"), headers=headers).status_code == 201
    assert count(clinic, "both") == count(stranger, "both") == 1


def test_conditional_update(clinic: Client, loader: Client) -> None:
    """B-55: none creates, one updates, another id 400, an id of its own only with that right."""
    path = "Basic?identifier=urn:names|put"
    made = clinic.put(path, named("put"))
    assert (made.status_code, made.headers["ETag"]) == (201, 'W/"1"')
    fid = made.json()["id"]
    assert made.headers["Location"].endswith(f"/Basic/{fid}/_history/1")
    for body in (named("put"), named("put", id=fid)):
        changed = clinic.put(path, body)
        assert (changed.status_code, changed.json()["id"]) == (200, fid)
    assert clinic.put(path, named("put", id="other")).status_code == 400
    assert clinic.put(path, named("put"), headers={"If-Match": 'W/"1"'}).status_code == 412
    assert clinic.put(path, named("put"), headers={"If-Match": 'W/"3"'}).status_code == 200
    absent = "Basic?identifier=urn:names|absent"
    assert clinic.put(absent, named("absent", id="my-own")).status_code == 405
    assert loader.put(absent, named("absent", id="my-own")).status_code == 201


def test_conditional_update_of_a_versioned_type(clinic: Client) -> None:
    """B-07: the tag is needed there as well."""
    task = {
        "resourceType": "Task",
        "status": "draft",
        "intent": "plan",
        "identifier": [{"system": "urn:t", "value": "1"}],
    }
    path = "Task?identifier=urn:t|1"
    assert clinic.put(path, task).status_code == 201
    assert clinic.put(path, task).status_code == 412
    assert clinic.put(path, task, headers={"If-Match": 'W/"1"'}).status_code == 200


def test_conditional_delete(clinic: Client) -> None:
    """B-56: nothing to delete is 204, one is deleted, of several none; If-Match is heeded."""
    path = "Basic?identifier=urn:names|del"
    assert clinic.delete(path).status_code == 204
    fid = clinic.post("Basic", named("del")).json()["id"]
    assert clinic.delete(path, headers={"If-Match": 'W/"2"'}).status_code == 412
    assert clinic.delete(path).status_code == 204
    assert clinic.get(f"Basic/{fid}").status_code == 410
    for _ in range(2):
        clinic.post("Basic", named("del"))
    answer = clinic.delete(path)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (412, "multiple-matches")
    assert count(clinic, "del") == 2


@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
@pytest.mark.parametrize("query", ["foo=a", "_count=1", "_sort=_id", "_format=json"])
def test_criteria_that_name_nothing_change_nothing(clinic: Client, method: str, query: str) -> None:
    """B-56, row 63: criteria made only of ignored or unknown parameters would mean everything; lenient or not."""
    clinic.post("Basic", named("kept"))
    body, kind = (None, {}) if method == "DELETE" else ([], {"Content-Type": "application/json-patch+json"})
    before = count(clinic, "kept")
    for prefer in ("handling=lenient", "handling=strict"):
        answer = clinic.request(method, f"Basic?{query}", body, headers={"Prefer": prefer, **kind})
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "not-supported")
    assert count(clinic, "kept") == before


def test_conditional_delete_of_what_is_hidden(clinic: Client, stranger: Client) -> None:
    """B-56: hidden is absent: 204, and it is still there."""
    clinic.post("Basic", named("mine"))
    assert stranger.delete("Basic?identifier=urn:names|mine").status_code == 204
    assert count(clinic, "mine") == 1


def test_conditional_patch(clinic: Client, stranger: Client) -> None:
    """B-56: none is 404, one is patched, several are 412."""
    path, patch = "Basic?identifier=urn:names|pat", [{"op": "add", "path": "/created", "value": "2026-01-01"}]
    assert clinic.patch(path, patch).status_code == 404
    fid = clinic.post("Basic", named("pat")).json()["id"]
    assert stranger.patch(path, patch).status_code == 404
    answer = clinic.patch(path, patch, headers={"If-Match": 'W/"1"'})
    assert (answer.status_code, answer.json()["created"], answer.json()["id"]) == (200, "2026-01-01", fid)
    assert clinic.patch(path, patch, headers={"If-Match": 'W/"1"'}).status_code == 412
    clinic.post("Basic", named("pat"))
    refused = clinic.patch(path, patch)
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (412, "multiple-matches")


def test_conditional_forms_in_bundles(clinic: Client) -> None:
    """B-56, B-61: a transaction deletes and patches by criteria as well."""
    clinic.post("Basic", named("gone-by-bundle"))
    clinic.post("Basic", named("changed-by-bundle"))
    steps = base64.b64encode(b'[{"op":"add","path":"/created","value":"2026-01-02"}]').decode()
    binary = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": steps}
    entries = [
        {"request": {"method": "DELETE", "url": "Basic?identifier=urn:names|gone-by-bundle"}},
        {"request": {"method": "PATCH", "url": "Basic?identifier=urn:names|changed-by-bundle"}, "resource": binary},
    ]
    for kind in ("transaction", "batch"):
        answer = clinic.post("", {"resourceType": "Bundle", "type": kind, "entry": entries}).json()
        assert [one["response"]["status"] for one in answer["entry"]] == ["204", "200"], answer
    assert count(clinic, "gone-by-bundle") == 0
    assert clinic.get("Basic?identifier=urn:names|changed-by-bundle").json()["entry"][0]["resource"]["created"]


@pytest.fixture(scope="module")
def generous(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server on the same database that deletes all that match."""
    with running(module_database_url, tmp_path_factory.mktemp("generous"), conditional_delete="multiple") as live:
        yield live.client("generous")


def test_conditional_delete_of_several_where_it_is_set(generous: Client) -> None:
    """B-56: and the statement says so."""
    for _ in range(3):
        generous.post("Basic", named("several"))
    assert generous.delete("Basic?identifier=urn:names|several").status_code == 204
    assert count(generous, "several") == 0
    stated = generous.get("metadata").json()["rest"][0]["resource"]
    assert {row["conditionalDelete"] for row in stated} == {"multiple"}


REFUSED = [
    (64, {}, 422, "processing"),
    (64, "a", 422, "processing"),
    (64, [{"op": "replace", "path": "/created", "value": "2026-01-01"}], 422, "processing"),
    (64, [{"op": "remove", "path": "/author/display"}], 422, "processing"),
    (64, [{"op": "test", "path": "/code/text", "value": "b"}], 422, "processing"),
    (64, [{"op": "test", "path": "/identifier/0/value", "value": 1}], 422, "processing"),
    (64, [{"op": "fly", "path": "/code"}], 422, "processing"),
    (64, [{"op": "add", "path": "code", "value": 1}], 422, "processing"),
    (64, [{"op": "add", "path": "/identifier/7", "value": {"value": "a"}}], 422, "processing"),
    (64, [{"op": "add", "path": "/identifier/00", "value": {"value": "a"}}], 422, "processing"),
    (64, [{"op": "replace", "path": "/code/text"}], 422, "processing"),
    (65, [{"op": "replace", "path": "/id", "value": "a"}], 422, "business-rule"),
    (65, [{"op": "add", "path": "/meta/tag", "value": [{"code": "a"}]}], 422, "business-rule"),
    (65, [{"op": "replace", "path": "/resourceType", "value": "Patient"}], 422, "business-rule"),
    (65, [{"op": "add", "path": "/subject", "value": {"reference": "Patient/a"}}], 422, "business-rule"),
    (65, [{"op": "move", "from": "/id", "path": "/language"}], 422, "business-rule"),
    (65, [{"op": "replace", "path": "", "value": BASIC}], 422, "business-rule"),
    (57, [{"op": "add", "path": "/foo", "value": 1}], 422, "structure"),
    (57, [{"op": "remove", "path": "/code"}], 422, "required"),
]


@pytest.mark.parametrize(("_row", "patch", "status", "code"), REFUSED)
def test_a_patch_that_cannot_be(clinic: Client, _row: int, patch: Any, status: int, code: str) -> None:
    """Rows 64 and 65, B-57: 422 and nothing changed."""
    made = clinic.post("Basic", named("patched")).json()
    good = [{"op": "add", "path": "/language", "value": "en"}]
    whole = [*good, *patch] if isinstance(patch, list) else patch
    answer = clinic.patch(f"Basic/{made['id']}", whole)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (status, code), answer.text
    assert clinic.get(f"Basic/{made['id']}").json() == made


def test_all_operations_of_a_patch(clinic: Client) -> None:
    """B-57, RFC 6902."""
    made = clinic.post("Basic", named("a", created="2026-01-01")).json()
    patch = [
        {"op": "test", "path": "/code/text", "value": "a"},
        {"op": "add", "path": "/identifier/-", "value": {"value": "last"}},
        {"op": "add", "path": "/identifier/0", "value": {"value": "first"}},
        {"op": "copy", "from": "/identifier/0", "path": "/identifier/1"},
        {"op": "remove", "path": "/identifier/0"},
        {"op": "move", "from": "/code/text", "path": "/code/coding/0/display"},
        {"op": "replace", "path": "/created", "value": "2026-02"},
    ]
    patch.insert(5, {"op": "add", "path": "/code/coding", "value": [{"code": "x"}]})
    answer = clinic.patch(f"Basic/{made['id']}", patch, headers={"If-Match": 'W/"1"'})
    assert answer.status_code == 200, answer.text
    changed = answer.json()
    assert [one["value"] for one in changed["identifier"]] == ["first", "a", "last"]
    assert changed["code"] == {"coding": [{"code": "x", "display": "a"}]}
    assert (changed["created"], answer.headers["ETag"]) == ("2026-02", 'W/"2"')


def test_copies_of_copies_are_cut_short(clinic: Client) -> None:
    """A patch of a hundred steps that would double the resource at each of them."""
    made = clinic.post("Basic", named("bomb")).json()
    patch = [{"op": "copy", "from": "/identifier", "path": f"/identifier/0/x{step}"} for step in range(100)]
    answer = clinic.patch(f"Basic/{made['id']}", patch)
    assert answer.status_code == 413
    assert clinic.get(f"Basic/{made['id']}").json() == made


def nested(depth: int, pointer: str = "/extension") -> bytes:
    return b'{"op":"add","path":"%b","value":%b%b}' % (pointer.encode(), b"[" * depth, b"]" * depth)


@pytest.mark.parametrize("patch", [
    b"[%b]" % nested(1020),
    b"[%b]" % b",".join(nested(50, "/extension" + "/0" * 50 * number) for number in range(25)),
    b'[{"op":[],"path":"/code"}]',
])  # fmt: skip
def test_a_patch_that_nests_too_deeply(clinic: Client, patch: bytes) -> None:
    """Rows 17, 18 and 64: 422 and nothing changed."""
    made = clinic.post("Basic", named("deep")).json()
    answer = clinic.patch(f"Basic/{made['id']}", patch)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (422, "processing"), answer.text
    assert clinic.get(f"Basic/{made['id']}").json() == made


def test_a_patch_goes_through_a_long_resource_so_often(clinic: Client) -> None:
    """T29: what each operation has to read of the resource, level by level, is counted together."""
    item: dict[str, Any] = {"linkId": "x", "answer": [{"valueString": "b" * 500_000}] * 4}
    for _ in range(28):
        item = {"linkId": "x", "item": [item]}
    made = clinic.post("QuestionnaireResponse", {
        "resourceType": "QuestionnaireResponse", "status": "completed", "item": [item]
    }).json()  # fmt: skip
    path = "/item/0" * 29 + "/linkId"
    once, often = ([{"op": "move", "from": path, "path": path}] * number for number in (1, 999))
    url, began = f"QuestionnaireResponse/{made['id']}", time.monotonic()
    assert clinic.patch(url, often).status_code == 413
    assert time.monotonic() - began < 5
    assert clinic.patch(url, once).status_code == 200


def test_a_patch_has_its_own_media_type(clinic: Client) -> None:
    """Row 66."""
    made = clinic.post("Basic", BASIC).json()
    for kind in ("application/json", "text/plain", "application/merge-patch+json", "application/xml-patch+xml"):
        assert clinic.patch(f"Basic/{made['id']}", [], headers={"Content-Type": kind}).status_code == 415


def test_a_security_label_is_not_lowered(clinic: Client) -> None:
    """Row 67, B-63."""
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}
    made = clinic.post("Basic", {**BASIC, "meta": {"security": [label]}}).json()
    answer = clinic.put(f"Basic/{made['id']}", {**BASIC, "id": made["id"]})
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (422, "business-rule")
    assert clinic.put(f"Basic/{made['id']}", made).status_code == 200


def test_a_patch_asks_nothing_that_may_not_be_read(server: LiveServer, clinic: Client) -> None:
    """R1: a test, and a condition in a path, tell what a resource says: 403 without a scope to read it."""
    made = clinic.post("Basic", named("secret")).json()
    writer = server.client("writer", organization="Organization/clinic", scopes="system/*.u")
    condition = {"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Basic.code.where(text = 'a').text"},
        {"name": "value", "valueString": "b"},
    ]}  # fmt: skip
    by_path = {"resourceType": "Parameters", "parameter": [condition]}
    for value in ("a", "b"):
        test = [{"op": "test", "path": "/code/text", "value": value}]
        assert writer.patch(f"Basic/{made['id']}", test).status_code == 403
        assert writer.patch("Basic?identifier=urn:names|secret", test).status_code == 403
    told = writer.patch(f"Basic/{made['id']}", by_path, headers={"Content-Type": "application/fhir+json"})
    assert told.status_code == 403
    assert clinic.get(f"Basic/{made['id']}").json() == made
    change = [{"op": "replace", "path": "/code/text", "value": "b"}]
    assert writer.patch(f"Basic/{made['id']}", change).status_code == 200
