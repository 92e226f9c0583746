"""The whole CapabilityStatement walked over HTTP: what it lists works, what it leaves out does not (B-65)."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.live import Client, LiveServer
from tests.rest.catalogue import send
from tests.rest.test_capabilities import FORM, PLAUSIBLE

pytestmark = pytest.mark.long

HERE = "37.77|-122.42|10|km"
SPECIAL = {"near": HERE}
INTERACTIONS = {
    "read": ("GET", "{type}/absent", None, {404}), "vread": ("GET", "{type}/absent/_history/1", None, {404}),
    "update": ("PUT", "{type}/absent", {"resourceType": "{type}", "id": "absent"}, {400, 405, 412, 422}),
    "patch": ("PATCH", "{type}/absent", [], {404, 412}), "delete": ("DELETE", "{type}/absent", None, {404}),
    "history-instance": ("GET", "{type}/absent/_history", None, {404}),
    "history-type": ("GET", "{type}/_history", None, {200}),
    "create": ("POST", "{type}", {"resourceType": "{type}", "foo": 1}, {400}),
    "search-type": ("GET", "{type}?_id=absent", None, {200}),
}  # fmt: skip
PATHS = ["", "metadata", "_history", "_search", "{type}", "{type}/_history", "{type}/_search", "{type}/absent",
         "{type}/absent/_history", "{type}/absent/_history/1", "{type}/absent/{type}", "{type}/absent/_search",
         "{type}/$foo", "$foo", "{type}/absent/$foo", "_jobs", "_jobs/absent",
         "{type}/absent/_history/1/x"]  # fmt: skip
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "FOO"]


@pytest.fixture(scope="module")
def statement(server: LiveServer) -> dict[str, Any]:
    found: dict[str, Any] = send(server, "GET", "metadata").json
    return found


def filled(body: Any, kind: str) -> Any:
    return {**body, "resourceType": kind} if isinstance(body, dict) else body


def test_every_parameter_by_get_and_post(clinic: Client, statement: Any) -> None:
    """B-49, B-65: of every type, with a value and as :missing, equal counts; by the definition that it names."""
    asked = 0
    for row in statement["rest"][0]["resource"]:
        for param in row["searchParam"]:
            assert param["definition"], (row["type"], param)
            value = SPECIAL.get(param["name"]) or PLAUSIBLE.get(param["type"], "a")
            value += "$2026" * (param["type"] == "composite" and row["type"] == "MolecularSequence")  # of three parts
            query = f"{quote(param['name'])}={quote(value, safe='')}&_total=accurate"
            got, posted = clinic.get(f"{row['type']}?{query}"), clinic.post(f"{row['type']}/_search", query.encode(),
                                                                            headers=FORM)  # fmt: skip
            assert (got.status_code, posted.status_code) == (200, 200), (row["type"], param["name"], got.text)
            assert got.json()["total"] == posted.json()["total"]
            asked += 1
        for include in row.get("searchInclude", []):
            assert clinic.get(f"{row['type']}?_include={quote(include)}&_count=1").status_code == 200, include
    assert asked > 1500


def test_every_interaction_of_every_type(clinic: Client, statement: Any) -> None:
    """B-65: each is routed and answers as such for what is absent or broken."""
    for row in statement["rest"][0]["resource"]:
        kind = row["type"]
        for one in row["interaction"]:
            method, path, body, expected = INTERACTIONS[one["code"]]
            headers = {"Content-Type": "application/json-patch+json"} if method == "PATCH" else {}
            answer = clinic.request(method, path.format(type=kind), filled(body, kind), headers=headers)
            assert answer.status_code in expected, (kind, one, answer.text)
            if answer.status_code == 404:
                assert answer.json()["issue"][0]["code"] == "not-found"


def test_nothing_else_answers(server: LiveServer, clinic: Client, statement: Any) -> None:
    """B-65: of all methods at all shapes of URL only what is listed gives 2xx; OPTIONS says the same."""
    listed = {("GET", "metadata"), ("GET", "_history"), ("GET", ""), ("POST", "_search"), ("GET", "_search")}
    token = {"Authorization": f"Bearer {clinic.authorize_once()}"}
    for kind in ("Basic", "Patient", "Medication"):
        for path in PATHS:
            allowed = send(server, "OPTIONS", path.format(type=kind), headers=token)
            for method in METHODS:
                answer = send(server, method, path.format(type=kind), headers=token)
                assert answer.status < 500, (method, path)
                if answer.status < 300:
                    assert "{type}" in path or (method.replace("HEAD", "GET"), path) in listed, (method, path)
                if answer.status != 405 and allowed.status == 204 and method not in {"TRACE", "FOO"}:
                    assert method in allowed.headers["Allow"].split(", "), (method, path)


def test_every_operation_is_routed(clinic: Client, statement: Any) -> None:
    """B-65: what is listed as an operation is there at its level, and has its definition."""
    rest = statement["rest"][0]
    rows = [("", one) for one in rest.get("operation", [])]
    rows += [(row["type"], one) for row in rest["resource"] for one in row.get("operation", [])]
    assert rows
    for kind, one in rows:
        paths = [f"{kind}/${one['name']}", f"{kind}/absent/${one['name']}"] if kind else [f"${one['name']}"]
        said = [clinic.post(path, {"resourceType": "Parameters"}) for path in paths]
        said += [clinic.get(path) for path in paths]
        routed = [answer for answer in said if answer.status_code != 405
                  and not (answer.status_code == 404 and "is not offered here" in answer.text)]  # fmt: skip
        assert routed, (kind, one)
        assert all(answer.status_code < 500 for answer in said), (kind, one)
