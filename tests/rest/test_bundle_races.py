"""Transactions that change the same resource at once: each is run whole, again from zero where it must be (P2, P4)."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.live import Client
from tests.rest.scene import stored

BASIC = {"resourceType": "Basic", "code": {"text": "a"}}
LINK = "urn:uuid:0a5f0000-0000-4000-8000-0000000000aa"


def bundle(shared: str, marker: str) -> dict[str, Any]:
    """A Patient, something about it, a condition on stored data, and one more version of what all of them change."""
    identified = {"identifier": [{"system": "urn:races", "value": marker}]}
    return {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"fullUrl": LINK, "resource": {"resourceType": "Patient", **identified},
         "request": {"method": "POST", "url": "Patient"}},
        {"resource": {**BASIC, **identified, "subject": {"reference": LINK}},
         "request": {"method": "POST", "url": "Basic", "ifNoneExist": f"identifier=urn:races|{marker}"}},
        {"resource": {**BASIC, "id": shared, "code": {"text": marker}},
         "request": {"method": "PUT", "url": f"Basic/{shared}"}},
    ]}  # fmt: skip


def test_each_200_is_there_whole_and_no_other(clinic: Client) -> None:
    """P2, P4, B-59: 200 means all of it is stored, once; anything else means none of it; versions have no gaps."""
    shared = stored(clinic, BASIC)["id"]
    token, results = clinic.authorize_once(), {}

    def work(number: int) -> None:
        twin = Client(clinic.server, clinic.id, clinic.key, clinic.scopes, token=token, expires=clinic.expires)
        for turn in range(4):
            marker = f"{number}-{turn}"
            results[marker] = twin.post("", bundle(shared, marker))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    done = [marker for marker, answer in results.items() if answer.status_code == 200]
    assert {answer.status_code for answer in results.values()} <= {200, 409}
    assert len(done) > 6
    for marker in results:
        for kind in ("Patient", "Basic"):
            found = clinic.get(f"{kind}?identifier=urn:races|{marker}").json()
            assert found["total"] == (marker in done), (marker, kind)
        if marker in done:
            patient = results[marker].json()["entry"][0]["response"]["location"].split("/_history")[0]
            assert patient.endswith(found["entry"][0]["resource"]["subject"]["reference"])
    history = clinic.get(f"Basic/{shared}/_history?_count=200").json()["entry"]
    assert [int(one["response"]["etag"].strip('W/"')) for one in history] == list(range(len(done) + 1, 0, -1))
    assert {one["resource"]["code"]["text"] for one in history} == {*done, "a"}
