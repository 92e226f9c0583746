"""One resource: create, read, vread, update, delete, history, with their headers and preferences."""

import json
from email.utils import formatdate, parsedate_to_datetime

import pytest

from fhir_server.fhir.values import parse_date
from tests.live import Client, LiveServer
from tests.rest.catalogue import send

BASIC = {"resourceType": "Basic", "code": {"text": "a"}}
PATIENT = {"resourceType": "Patient", "name": [{"family": "a"}]}
JSON = "application/fhir+json; charset=utf-8"


def test_a_create_gives_its_own_id_and_version(server: LiveServer, clinic: Client) -> None:
    """B-02, B-05: what the client sends as id, versionId and lastUpdated counts for nothing."""
    meta = {"versionId": "7", "lastUpdated": "2001-01-01T00:00:00Z", "tag": [{"code": "kept"}]}
    answer = clinic.post("Basic", {**BASIC, "id": "mine", "meta": meta})
    made = answer.json()
    assert answer.status_code == 201
    assert made["id"] != "mine"
    assert made["meta"]["versionId"] == "1"
    assert made["meta"]["lastUpdated"] > "2020"
    assert made["meta"]["tag"] == [{"code": "kept"}]
    assert answer.headers["Location"] == f"{server.base}/Basic/{made['id']}/_history/1"
    assert answer.headers["ETag"] == 'W/"1"'
    seconds = parsedate_to_datetime(answer.headers["Last-Modified"]).timestamp()
    assert int(seconds) == parse_date(made["meta"]["lastUpdated"])[0] // 1000
    assert clinic.get(answer.headers["Location"]).json() == made


def test_ids_and_types_are_case_sensitive(clinic: Client, loader: Client) -> None:
    """B-01."""
    loader.put("Basic/Case-1.a", {**BASIC, "id": "Case-1.a"})
    assert loader.get("Basic/Case-1.a").status_code == 200
    assert loader.get("Basic/case-1.a").status_code == 404
    assert loader.get("basic/Case-1.a").status_code == 404


def test_update_as_create_is_a_right(loader: Client) -> None:
    """B-04, row 54: 201 for clients with that right; a deleted id comes back as the next version."""
    made = loader.put("Basic/chosen", {**BASIC, "id": "chosen"})
    assert (made.status_code, made.headers["ETag"]) == (201, 'W/"1"')
    assert made.headers["Location"].endswith("/Basic/chosen/_history/1")
    assert loader.put("Basic/chosen", {**BASIC, "id": "chosen"}).status_code == 200
    assert loader.delete("Basic/chosen").status_code == 204
    again = loader.put("Basic/chosen", {**BASIC, "id": "chosen"})
    assert (again.status_code, again.headers["ETag"]) == (201, 'W/"4"')
    assert loader.get("Basic/chosen").json()["meta"]["versionId"] == "4"


@pytest.mark.parametrize("tag", ['W/"1"', '"1"'])
def test_an_update_with_the_current_tag(clinic: Client, tag: str) -> None:
    """B-05, B-06: the weak and the plain form are one; each version is kept (B-13)."""
    made = clinic.post("Basic", BASIC).json()
    changed = clinic.put(f"Basic/{made['id']}", {**made, "code": {"text": "b"}}, headers={"If-Match": tag})
    assert (changed.status_code, changed.headers["ETag"]) == (200, 'W/"2"')
    assert "Location" not in changed.headers
    assert changed.json()["meta"]["lastUpdated"] >= made["meta"]["lastUpdated"]
    assert clinic.get(f"Basic/{made['id']}/_history/1").json() == made
    assert clinic.get(f"Basic/{made['id']}/_history/2").json()["code"] == {"text": "b"}


def test_a_task_is_updated_with_its_tag(clinic: Client) -> None:
    """B-07."""
    made = clinic.post("Task", {"resourceType": "Task", "status": "draft", "intent": "plan"})
    body = {**made.json(), "status": "cancelled"}
    assert clinic.put(f"Task/{body['id']}", body).status_code == 412
    assert clinic.put(f"Task/{body['id']}", body, headers={"If-Match": made.headers["ETag"]}).status_code == 200
    assert clinic.put(f"Task/{body['id']}", body, headers={"If-Match": made.headers["ETag"]}).status_code == 412


def test_a_read_that_finds_nothing_new(clinic: Client) -> None:
    """B-08: 304 with an empty body, for the tag or the time."""
    made = clinic.post("Basic", BASIC)
    path = f"Basic/{made.json()['id']}"
    modified = made.headers["Last-Modified"]
    earlier = formatdate(parsedate_to_datetime(modified).timestamp() - 1, usegmt=True)
    for headers, status in (
        ({"If-None-Match": 'W/"1"'}, 304), ({"If-None-Match": '"1"'}, 304), ({"If-None-Match": 'W/"2"'}, 200),
        ({"If-None-Match": 'W/"2",W/"1"'}, 304), ({"If-None-Match": "*"}, 304),
        ({"If-Modified-Since": modified}, 304), ({"If-Modified-Since": earlier}, 200),
        ({"If-None-Match": 'W/"2"', "If-Modified-Since": modified}, 200),
    ):  # fmt: skip
        answer = clinic.get(path, headers=headers)
        assert answer.status_code == status, headers
        assert answer.headers["ETag"] == 'W/"1"'
        assert (answer.content == b"") == (status == 304)
        assert ("Content-Type" in answer.headers) == (status == 200)
    for wrong in ("yesterday", "Sun, 22 Nov 99999999999999999999 10:00:00 GMT"):
        assert clinic.get(path, headers={"If-Modified-Since": wrong}).status_code == 400


def test_deleting(clinic: Client) -> None:
    """B-09, B-10: 204 again and again, 404 for what never was; a stale tag deletes nothing."""
    fid = clinic.post("Basic", BASIC).json()["id"]
    assert clinic.delete(f"Basic/{fid}", headers={"If-Match": 'W/"9"'}).status_code == 412
    first, second = clinic.delete(f"Basic/{fid}"), clinic.delete(f"Basic/{fid}")
    assert [(answer.status_code, answer.content) for answer in (first, second)] == [(204, b""), (204, b"")]
    assert "Content-Type" not in first.headers
    assert clinic.delete("Basic/never").status_code == 404
    assert clinic.get(f"Basic/{fid}").status_code == 410
    assert clinic.get(f"Basic?_id={fid}").json()["total"] == 0


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("wish", ["", "return=minimal", "return=representation", "return=OperationOutcome"])
def test_what_a_write_returns(clinic: Client, method: str, wish: str) -> None:
    """B-12: the representation unless asked for less."""
    headers = {"Prefer": wish} if wish else {}
    if method == "POST":
        answer = clinic.post("Basic", BASIC, headers=headers)
    else:
        made = clinic.post("Basic", BASIC).json()
        patch = [{"op": "replace", "path": "/code/text", "value": "b"}]
        act, body = (clinic.put, made) if method == "PUT" else (clinic.patch, patch)
        answer = act(f"Basic/{made['id']}", body, headers=headers)
    assert answer.status_code == (201 if method == "POST" else 200)
    assert answer.headers["ETag"] == ('W/"1"' if method == "POST" else 'W/"2"')
    if wish == "return=minimal":
        assert answer.content == b""
        assert "Content-Type" not in answer.headers
        return
    assert answer.headers["Content-Type"] == JSON
    kind = "OperationOutcome" if wish.endswith("Outcome") else "Basic"
    assert answer.json()["resourceType"] == kind


def test_every_answer_carries_a_request_id(clinic: Client) -> None:
    """B-14: the client's own where it is a plain word, else a new one; on errors too."""
    for path in ("Basic/absent", "metadata", "Basic", "Foo", "Basic?foo=a"):
        assert clinic.get(path, headers={"X-Request-Id": "mine-1"}).headers["X-Request-Id"] == "mine-1"
        given = clinic.get(path).headers["X-Request-Id"]
        assert given
        assert given != clinic.get(path).headers["X-Request-Id"]
    odd = clinic.get("Basic", headers={"X-Request-Id": "a b<script>"}).headers["X-Request-Id"]
    assert "<" not in odd


def test_bytes_come_back_as_they_were_sent(clinic: Client) -> None:
    """B-20, B-21: decimals, partial dates, spaces and order stay; also after an update of something else by patch."""
    body = (b'{ "resourceType":"Observation", "status" : "final","code":{"text":"\\u00e9 \xc3\xa9"},'
            b'"valueQuantity":{"value":1.10,"unit":"mg"},"effectiveDateTime":"2026-03" }')  # fmt: skip
    fid = clinic.post("Observation", body).json()["id"]
    read = clinic.get(f"Observation/{fid}").content
    for piece in (b'"value":1.10,', b'"\\u00e9 \xc3\xa9"', b'"status" : "final"', b'"2026-03"'):
        assert piece in read
    added = b'[{"code":{"text":"b"},"valueQuantity":{"value":2.50}}]'
    patch = b'[{"op":"replace","path":"/status","value":"amended"},{"op":"add","path":"/component","value":%b}]' % added
    assert clinic.patch(f"Observation/{fid}", patch).status_code == 200
    read = clinic.get(f"Observation/{fid}").content
    assert b'"value":1.10,' in read
    assert b'"value":2.50' in read
    part = clinic.get(f"Observation/{fid}?_elements=value").content
    assert b"1.10" not in part  # value[x] is named valueQuantity
    assert b'"value":1.10,' in clinic.get(f"Observation/{fid}?_elements=valueQuantity").content


def test_a_part_is_tagged_and_not_taken_back(clinic: Client) -> None:
    """B-47: mandatory elements stay, the tag SUBSETTED, and a PUT of it is refused."""
    fid = clinic.post("Basic", {**BASIC, "created": "2026-01-01"}).json()["id"]
    part = clinic.get(f"Basic/{fid}?_elements=author").json()
    assert "created" not in part
    assert part["code"] == BASIC["code"]
    assert [tag["code"] for tag in part["meta"]["tag"]] == ["SUBSETTED"]
    assert clinic.put(f"Basic/{fid}", part).status_code == 422
    assert clinic.get(f"Basic/{fid}?_summary=count").status_code == 400


def test_summaries(clinic: Client) -> None:
    """B-47: true keeps what R4 marks, text the narrative, data all else; the same when searched for."""
    text = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}
    place = {"resourceType": "Location", "name": "x", "hoursOfOperation": [{"allDay": True}], "text": text}
    fid = clinic.post("Location", place).json()["id"]
    always = {"resourceType", "id", "meta"}
    wanted = {"true": {"name"}, "text": {"text"}, "data": {"name", "hoursOfOperation"}}
    for form, names in wanted.items():
        part = clinic.get(f"Location/{fid}?_summary={form}").json()
        assert part.keys() == always | names
        assert [tag["code"] for tag in part["meta"]["tag"]] == ["SUBSETTED"]
        assert clinic.get(f"Location?_id={fid}&_summary={form}").json()["entry"][0]["resource"] == part
    assert clinic.get(f"Location/{fid}?_summary=false").json().keys() == always | wanted["data"] | {"text"}


def test_head_is_get_without_its_body(server: LiveServer, clinic: Client) -> None:
    """B-53."""
    fid = clinic.post("Basic", BASIC).json()["id"]
    headers = {"Authorization": f"Bearer {clinic.authorize_once()}"}
    for path in (
        f"Basic/{fid}",
        f"Basic/{fid}/_history/1",
        f"Basic/{fid}/_history",
        "Basic",
        "Basic/absent",
        "metadata",
    ):
        got, head = (send(server, method, path, headers=headers) for method in ("GET", "HEAD"))
        assert (head.status, head.body) == (got.status, b"")
        changing = {"Date", "X-Request-Id"}
        assert {k: v for k, v in head.headers.items() if k not in changing} == {
            k: v for k, v in got.headers.items() if k not in changing
        }
        assert json.loads(got.body)
    answer = send(server, "OPTIONS", f"Basic/{fid}")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
