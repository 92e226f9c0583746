"""Batch and transaction: what each entry is answered, order, links between entries, all or nothing."""

import base64
import json
from typing import Any
from uuid import uuid4

from tests.live import Client, LiveServer

BASIC = {"resourceType": "Basic", "code": {"text": "a"}}


def urn() -> str:
    return f"urn:uuid:{uuid4()}"


def entry(method: str, url: str, resource: Any = None, full_url: str = "", **request: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        made["resource"] = resource
    return {"fullUrl": full_url, **made} if full_url else made


def send(client: Client, *entries: Any, kind: str = "transaction", status: int = 200, **options: Any) -> Any:
    answer = client.post("", {"resourceType": "Bundle", "type": kind, "entry": list(entries)}, **options)
    assert answer.status_code == status, answer.text
    return answer.json()


def named(value: str, **more: Any) -> dict[str, Any]:
    return {**BASIC, "identifier": [{"system": "urn:names", "value": value}], **more}


def statuses(bundle: Any) -> list[str]:
    return [one["response"]["status"] for one in bundle["entry"]]


def patch_entry(url: str, patch: Any, kind: str = "application/json-patch+json") -> dict[str, Any]:
    data = base64.b64encode(json.dumps(patch).encode()).decode()
    return entry("PATCH", url, {"resourceType": "Binary", "contentType": kind, "data": data})


def test_a_batch_answers_each_entry_alone(server: LiveServer, clinic: Client) -> None:
    """B-58: order of the entries, their own statuses, etag, location, lastModified, outcome; outer 200."""
    old = clinic.post("Basic", BASIC).json()["id"]
    bundle = send(
        clinic,
        entry("POST", "Basic", named("batch")), entry("GET", "Basic/absent"), entry("GET", f"Basic/{old}"),
        entry("GET", "Basic?identifier=urn:names|none"), entry("HEAD", f"Basic/{old}"), entry("GET", "metadata"),
        entry("GET", f"Basic/{old}", ifNoneMatch='W/"1"'), entry("GET", f"Basic/{old}/_history"),
        entry("POST", "Basic", {"resourceType": "Basic"}), entry("DELETE", f"Basic/{old}"),
        entry("GET", f"{server.base}/Basic?_summary=count"), kind="batch",
    )  # fmt: skip
    assert bundle["type"] == "batch-response"
    assert statuses(bundle) == ["201", "404", "200", "200", "200", "200", "304", "200", "400", "204", "200"]
    made = bundle["entry"][0]
    assert made["response"]["etag"] == 'W/"1"'
    assert made["response"]["lastModified"] == made["resource"]["meta"]["lastUpdated"]
    assert made["response"]["location"].startswith(f"{server.base}/Basic/{made['resource']['id']}/_history/1")
    assert bundle["entry"][1]["response"]["outcome"]["issue"][0]["code"] == "not-found"
    assert bundle["entry"][2]["resource"]["id"] == old
    assert bundle["entry"][3]["resource"]["type"] == "searchset"
    assert "resource" not in bundle["entry"][4]
    assert bundle["entry"][8]["response"]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[8].resource.code"]


def test_a_transaction_is_all_or_nothing(clinic: Client) -> None:
    """B-59."""
    bad = {"resourceType": "Basic"}
    answer = send(clinic, entry("POST", "Basic", named("whole")), entry("POST", "Basic", bad), status=400)
    assert answer["issue"][0]["expression"] == ["Bundle.entry[1].resource.code"]
    assert clinic.get("Basic?identifier=urn:names|whole").json()["total"] == 0


def test_the_order_of_processing(clinic: Client) -> None:
    """B-59: DELETE, POST, PUT and PATCH, GET, whatever the order of the entries; answers in that of the entries."""
    gone, changed, patched = (clinic.post("Basic", named("order")).json()["id"] for _ in range(3))
    search = "Basic?identifier=urn:names|order&_total=accurate"
    bundle = send(
        clinic,
        entry("GET", search), entry("PUT", f"Basic/{changed}", {**named("order"), "id": changed, "language": "en"}),
        entry("GET", f"Basic/{changed}"),
        patch_entry(f"Basic/{patched}", [{"op": "add", "path": "/language", "value": "fr"}]),
        entry("POST", "Basic", named("order")), entry("DELETE", f"Basic/{gone}"),
    )  # fmt: skip
    assert statuses(bundle) == ["200", "200", "200", "200", "201", "204"]
    assert bundle["entry"][0]["resource"]["total"] == 3
    assert bundle["entry"][2]["resource"]["language"] == "en"
    assert bundle["entry"][3]["resource"]["language"] == "fr"
    assert clinic.get(f"Basic/{gone}").status_code == 410


def test_entries_without_full_urls(clinic: Client) -> None:
    """Each new resource gets an id of its own."""
    bundle = send(clinic, *[entry("POST", "Basic", BASIC) for _ in range(5)])
    assert len({one["resource"]["id"] for one in bundle["entry"]}) == 5


def test_links_are_rewritten_everywhere(clinic: Client) -> None:
    """B-60: references, uri elements, extensions, contained resources and the narrative; strings stay."""
    patient, basic = urn(), urn()
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{patient}">a</a></div>'
    resource = {
        **named(patient), "subject": {"reference": patient}, "implicitRules": basic,
        "text": {"status": "generated", "div": div},
        "extension": [{"url": "https://a.example.org/x", "valueReference": {"reference": patient}},
                      {"url": "https://a.example.org/y", "valueUri": patient},
                      {"url": "https://a.example.org/z", "valueString": patient}],
        "contained": [{"resourceType": "List", "id": "l", "status": "current", "mode": "working",
                       "subject": {"reference": patient}}],
        "author": {"reference": "#l"},
    }  # fmt: skip
    resource.pop("author")
    resource["extension"].append({"url": "https://a.example.org/l", "valueReference": {"reference": "#l"}})
    del resource["implicitRules"]
    bundle = send(
        clinic, entry("POST", "Basic", resource, basic), entry("POST", "Patient", {"resourceType": "Patient"}, patient)
    )
    target = f"Patient/{bundle['entry'][1]['resource']['id']}"
    made = bundle["entry"][0]["resource"]
    assert made["subject"]["reference"] == target
    assert f'href="{target}"' in made["text"]["div"]
    assert [list(one.values())[1] for one in made["extension"][:3]] == [{"reference": target}, target, patient]
    assert made["contained"][0]["subject"]["reference"] == target
    assert made["identifier"][0]["value"] == patient
    assert clinic.get(f"Basic?subject={target}").json()["total"] == 1


def test_links_by_other_full_urls(clinic: Client) -> None:
    """B-60: a fullUrl of another server, named in full or relative to it, becomes the new id."""
    there = "https://old.example.org/fhir/"
    bundle = send(
        clinic,
        entry("POST", "Patient", {"resourceType": "Patient"}, f"{there}Patient/7"),
        entry("POST", "Basic", {**BASIC, "subject": {"reference": f"{there}Patient/7"}}, f"{there}Basic/1"),
        entry("POST", "Basic", {**BASIC, "subject": {"reference": "Patient/7"}}, f"{there}Basic/2"),
    )
    target = f"Patient/{bundle['entry'][0]['resource']['id']}"
    assert [one["resource"]["subject"]["reference"] for one in bundle["entry"][1:]] == [target, target]


def test_entries_that_refer_to_each_other(clinic: Client) -> None:
    """B-60: in a circle, by urn."""
    one, two = urn(), urn()
    patient = {"resourceType": "Patient"}
    bundle = send(
        clinic,
        *[entry("POST", "Patient", {**patient, "link": [{"other": {"reference": other}, "type": "seealso"}]}, own)
          for own, other in ((one, two), (two, one))],
    )  # fmt: skip
    first, second = (one["resource"] for one in bundle["entry"])
    assert first["link"][0]["other"]["reference"] == f"Patient/{second['id']}"
    assert second["link"][0]["other"]["reference"] == f"Patient/{first['id']}"


def organization(value: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Organization", "name": value, "identifier": [{"system": "urn:o", "value": value}], **more}


def test_references_by_criteria(clinic: Client) -> None:
    """B-60: to stored data, to an entry whatever its place, and in a chain of such entries."""
    stored = clinic.post("Organization", organization("stored")).json()["id"]
    bundle = send(
        clinic,
        entry("POST", "Organization", organization("c", partOf={"reference": "Organization?identifier=urn:o|b"})),
        entry("POST", "Organization", organization("b", partOf={"reference": "Organization?identifier=urn:o|a"})),
        entry("POST", "Organization", organization("a", partOf={"reference": "Organization?identifier=urn:o|stored"})),
    )
    c, b, a = (one["resource"] for one in bundle["entry"])
    assert a["partOf"]["reference"] == f"Organization/{stored}"
    assert b["partOf"]["reference"] == f"Organization/{a['id']}"
    assert c["partOf"]["reference"] == f"Organization/{b['id']}"


def test_references_by_criteria_that_fail(clinic: Client, stranger: Client) -> None:
    """B-60: none or several fail the whole; what is hidden counts as none; alone, criteria are no reference."""
    for _ in range(2):
        clinic.post("Basic", named("several"))
    clinic.post("Basic", named("hidden"))
    for client, value in ((clinic, "none"), (clinic, "several"), (stranger, "hidden")):
        body = {"resourceType": "Patient", "extension": [
            {"url": "https://a.example.org/x", "valueReference": {"reference": f"Basic?identifier=urn:names|{value}"}}
        ]}  # fmt: skip
        answer = send(client, entry("POST", "Patient", body), status=412)
        assert answer["issue"][0]["expression"][0].startswith("Bundle.entry[0].resource.extension[0]")
        assert client.post("Patient", body).status_code == 400


def test_conditions_inside(clinic: Client) -> None:
    """B-61: ifNoneExist and ifMatch; what matches is linked to, what is equal is made once."""
    stored = clinic.post("Basic", named("cond")).json()
    old, new, again = urn(), urn(), urn()
    bundle = send(
        clinic,
        entry("POST", "Basic", named("cond"), old, ifNoneExist="identifier=urn:names|cond"),
        entry("POST", "Basic", named("cond2"), new, ifNoneExist="identifier=urn:names|cond2"),
        entry("POST", "Basic", named("cond2"), again, ifNoneExist="identifier=urn:names|cond2"),
        entry("POST", "List", {"resourceType": "List", "status": "current", "mode": "working",
                               "entry": [{"item": {"reference": one}} for one in (old, new, again)]}),
    )  # fmt: skip
    assert statuses(bundle) == ["200", "201", "200", "201"]
    assert bundle["entry"][0]["response"]["location"].endswith(f"Basic/{stored['id']}/_history/1")
    made = bundle["entry"][1]["resource"]["id"]
    items = [one["item"]["reference"] for one in bundle["entry"][3]["resource"]["entry"]]
    assert items == [f"Basic/{stored['id']}", f"Basic/{made}", f"Basic/{made}"]
    stale = entry("PUT", f"Basic/{stored['id']}", stored, ifMatch='W/"9"')
    assert send(clinic, entry("POST", "Basic", named("cond3")), stale, status=412)["issue"][0]["code"] == "conflict"
    assert clinic.get("Basic?identifier=urn:names|cond3").json()["total"] == 0
    fresh = entry("PUT", f"Basic/{stored['id']}", stored, ifMatch='W/"1"')
    assert statuses(send(clinic, fresh)) == ["200"]


def test_identities_that_turn_out_to_be_one(clinic: Client) -> None:
    """B-59: criteria that find what another entry deletes, makes or updates fail the whole."""
    stored = clinic.post("Basic", named("same")).json()
    find = {"ifNoneExist": "identifier=urn:names|same"}
    send(clinic, entry("DELETE", f"Basic/{stored['id']}"), entry("POST", "Basic", named("same"), **find), status=400)
    send(clinic, entry("POST", "Basic", named("twin")),
         entry("POST", "Basic", named("twin"), ifNoneExist="identifier=urn:names|twin"), status=400)  # fmt: skip
    path = "Basic?identifier=urn:names|same"
    send(clinic, entry("PUT", f"Basic/{stored['id']}", stored), entry("PUT", path, named("same")), status=400)
    assert clinic.get(f"Basic/{stored['id']}").json() == stored
    assert clinic.get("Basic?identifier=urn:names|twin").json()["total"] == 0


def test_conditional_update_inside(clinic: Client) -> None:
    """B-55, B-60: what it creates or finds can be referred to."""
    for status in ("201", "200"):
        one = urn()
        bundle = send(
            clinic, entry("PUT", "Organization?identifier=urn:o|put", organization("put"), one),
            entry("POST", "Organization", organization("child", partOf={"reference": one})),
        )  # fmt: skip
        assert statuses(bundle) == [status, "201"]
        target = f"Organization/{bundle['entry'][0]['resource']['id']}"
        assert bundle["entry"][1]["resource"]["partOf"]["reference"] == target


def test_a_patch_inside(clinic: Client) -> None:
    """B-57, B-61: a Binary with a JSON Patch, with its ifMatch; another media type is 415."""
    made = clinic.post("Basic", BASIC).json()
    patch = [{"op": "replace", "path": "/code/text", "value": "b"}]
    one = patch_entry(f"Basic/{made['id']}", patch)
    one["request"]["ifMatch"] = 'W/"1"'
    assert send(clinic, one)["entry"][0]["resource"]["code"] == {"text": "b"}
    assert send(clinic, one, status=412)["issue"][0]["code"] == "conflict"
    send(clinic, patch_entry(f"Basic/{made['id']}", patch, "application/json"), status=415)
    send(clinic, entry("PATCH", f"Basic/{made['id']}", BASIC), status=415)
    send(clinic, patch_entry(f"Basic/{made['id']}", "no patch"), status=422)


def test_preferences_hold_inside(clinic: Client) -> None:
    """B-12 for the entries of a Bundle."""
    bundle = send(clinic, entry("POST", "Basic", BASIC), headers={"Prefer": "return=minimal"})
    assert "resource" not in bundle["entry"][0]
    bundle = send(clinic, entry("POST", "Basic", BASIC), headers={"Prefer": "return=OperationOutcome"})
    assert bundle["entry"][0]["response"]["outcome"]["resourceType"] == "OperationOutcome"


def test_an_empty_bundle(clinic: Client) -> None:
    answer = clinic.post("", {"resourceType": "Bundle", "type": "transaction"})
    assert (answer.status_code, answer.json()["type"]) == (200, "transaction-response")
    assert "entry" not in answer.json()


def test_other_bundles_are_stored_at_their_own_url(clinic: Client) -> None:
    """B-61: with links of their own, which are left as they are."""
    one = urn()
    inner = {"fullUrl": one, "resource": {**BASIC, "author": {"reference": one}}}
    made = clinic.post("Bundle", {"resourceType": "Bundle", "type": "collection", "entry": [inner]})
    assert made.status_code == 201, made.text
    inside = send(clinic, entry("POST", "Bundle", {"resourceType": "Bundle", "type": "collection", "entry": [inner]}))
    assert inside["entry"][0]["resource"]["entry"] == [inner]
