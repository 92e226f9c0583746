"""`Idempotency-Key`: what is sent again is answered again and done once (P13, row 116)."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select, update

from fhir_server.engine.idempotency import KEPT_MS
from fhir_server.jobs.expiry import purge
from fhir_server.store.tables import idempotency
from tests.live import Client, LiveServer

BASIC = {"resourceType": "Basic", "code": {"text": "a"}}


def named(value: str) -> dict[str, Any]:
    return {**BASIC, "identifier": [{"system": "urn:names", "value": value}]}


def count(client: Client, value: str) -> int:
    return int(client.get(f"Basic?identifier=urn:names|{value}&_summary=count").json()["total"])


def key(value: str, **more: str) -> dict[str, Any]:
    return {"headers": {"Idempotency-Key": value, **more}}


def entry(method: str, url: str, resource: Any = None) -> dict[str, Any]:
    return {"request": {"method": method, "url": url}, **({"resource": resource} if resource else {})}


def bundle(kind: str, *entries: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def test_the_same_request_is_answered_again(clinic: Client) -> None:
    """P13: same key, same body: the same answer, one resource."""
    first, again = (clinic.post("Basic", named("one"), **key("k-one")) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    for header in ("Location", "ETag", "Last-Modified"):
        assert first.headers[header] == again.headers[header]
    assert first.headers["X-Request-Id"] != again.headers["X-Request-Id"]
    assert ("Idempotency-Replayed" in first.headers, again.headers["Idempotency-Replayed"]) == (False, "true")
    assert count(clinic, "one") == 1


@pytest.mark.parametrize("other", [
    lambda c: c.post("Basic", named("b"), **key("k-other")),
    lambda c: c.post("Basic?_pretty=true", named("a"), **key("k-other")),
    lambda c: c.post("Basic", named("a"), **key("k-other", Prefer="return=minimal")),
    lambda c: c.post("", bundle("transaction", entry("POST", "Basic", named("a"))), **key("k-other")),
])  # fmt: skip
def test_another_request_under_the_key(clinic: Client, other: Any) -> None:
    """Row 116: 422 conflict, and nothing happens."""
    clinic.post("Basic", named("a"), **key("k-other"))
    before = count(clinic, "a"), count(clinic, "b")
    answer = other(clinic)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (422, "conflict")
    assert (count(clinic, "a"), count(clinic, "b")) == before


@pytest.mark.parametrize("value", ["", "a" * 256, "\xe9"])
def test_a_key_that_is_none(clinic: Client, value: str) -> None:
    """Row 116: 400 value."""
    answer = clinic.post("Basic", named("none"), **key(value.encode("latin-1")))
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "value")
    assert count(clinic, "none") == 0
    assert clinic.post("Basic", named("long"), **key("a" * 255)).status_code == 201


def test_keys_belong_to_their_client(clinic: Client, stranger: Client) -> None:
    """P13: another client's key is another key."""
    assert clinic.post("Basic", named("own"), **key("k-own")).status_code == 201
    answer = stranger.post("Basic", named("own"), **key("k-own"))
    assert (answer.status_code, "Idempotency-Replayed" in answer.headers) == (201, False)


def test_other_rights_are_another_request(clinic: Client) -> None:
    """P13: what was answered to a wider token is not answered to a narrower one."""
    assert clinic.post("Basic", named("rights"), **key("k-rights")).status_code == 201
    narrow = Client(clinic.server, clinic.id, clinic.key, "system/Patient.r")
    assert narrow.post("Basic", named("rights"), **key("k-rights")).status_code in {403, 422}


def test_a_refusal_is_not_kept(clinic: Client) -> None:
    """P13: nothing is stored of what never began, so that the key is good for the corrected request."""
    assert clinic.post("Basic", {**named("late"), "foo": 1}, **key("k-late")).status_code == 400
    assert clinic.post("Basic", named("late"), **key("k-late")).status_code == 201


def test_a_transaction_once(clinic: Client) -> None:
    """P13: with all its entries; what is read is not kept, because tomorrow it may be hidden."""
    body = bundle("transaction", entry("POST", "Basic", named("t1")), entry("POST", "Basic", named("t2")))
    first, again = (clinic.post("", body, **key("k-t")) for _ in range(2))
    assert (first.status_code, first.content) == (200, again.content)
    assert (count(clinic, "t1"), count(clinic, "t2")) == (1, 1)
    reading = bundle("transaction", entry("GET", "Basic"))
    assert clinic.post("", reading, **key("k-reading")).status_code == 400


def test_a_batch_once_by_entry(clinic: Client) -> None:
    """P13: each entry for itself; one that failed is tried again, the others are answered again."""
    broken = {**named("b2"), "foo": 1}
    first = clinic.post("", bundle("batch", entry("POST", "Basic", named("b1")), entry("POST", "Basic", broken),
                                   entry("GET", "metadata")), **key("k-b")).json()  # fmt: skip
    assert [one["response"]["status"] for one in first["entry"]] == ["201", "400", "200"]
    again = clinic.post("", bundle("batch", entry("POST", "Basic", named("b1")), entry("POST", "Basic", named("b2")),
                                   entry("GET", "metadata")), **key("k-b")).json()  # fmt: skip
    assert [one["response"]["status"] for one in again["entry"]] == ["201", "201", "200"]
    assert again["entry"][0]["response"]["location"] == first["entry"][0]["response"]["location"]
    assert (count(clinic, "b1"), count(clinic, "b2")) == (1, 1)


def test_files_need_no_key(clinic: Client) -> None:
    """P12, P13: an operation that takes a file says so instead of leaving the key out in silence."""
    answer = clinic.post(
        "Group/$import-assignments", b"x", headers={"Idempotency-Key": "k", "Content-Type": "text/csv"}
    )
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "not-supported")


def test_searching_by_post_is_never_kept(clinic: Client) -> None:
    """A search may be asked again as it is, and sees what came since."""
    form = {"headers": {"Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": "k-search"}}
    query = b"identifier=urn:names|late2&_summary=count"
    assert clinic.post("Basic/_search", query, **form).json()["total"] == 0
    clinic.post("Basic", named("late2"))
    assert clinic.post("Basic/_search", query, **form).json()["total"] == 1


def test_keys_last_a_day(server: LiveServer, clinic: Client) -> None:
    """P13: at least 24 hours; what is older is as if it had never been."""
    clinic.post("Basic", named("day"), **key("k-day"))
    older = update(idempotency).where(idempotency.c.key == "k-day")
    day = 24 * 3600 * 1000
    for age, expected in ((day - 60_000, 1), (day, 2)):
        server.engine.database.write(
            lambda c, age=age: c.execute(older.values(at=server.engine.clock() - age)).rowcount
        )
        assert clinic.post("Basic", named("day"), **key("k-day")).status_code == 201
        assert count(clinic, "day") == expected


def test_old_answers_go_without_new_ones(server: LiveServer, clinic: Client) -> None:
    """Answers hold members' data: what was kept for a day is removed, whether or not anybody sends a key again."""
    for name in ("k-old", "k-young"):
        clinic.post("Basic", named(name), **key(name))
    older = update(idempotency).where(idempotency.c.key == "k-old").values(at=server.engine.clock() - KEPT_MS - 1)
    server.engine.database.write(lambda connection: connection.execute(older).rowcount)
    purge(server.engine)
    left = set(server.engine.database.read().execute(select(idempotency.c.key)).scalars())
    assert {"k-old", "k-young"} & left == {"k-young"}


def test_many_at_once_do_it_once(clinic: Client) -> None:
    """P13: whoever comes while it is being done hears 409 with Retry-After, or the answer; it is done once."""
    clinic.authorize_once()
    for number in range(5):
        barrier = Barrier(8)

        def send(_place: int, number: int = number, barrier: Barrier = barrier) -> Any:
            twin = Client(
                clinic.server, clinic.id, clinic.key, clinic.scopes, token=clinic.token, expires=clinic.expires
            )
            barrier.wait()
            return twin.post("Basic", named(f"many{number}"), **key(f"k-many{number}"))

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(send, range(8)))
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert len({answer.headers["Location"] for answer in answers if answer.status_code == 201}) == 1
        assert all(answer.headers["Retry-After"] for answer in answers if answer.status_code == 409)
        assert count(clinic, f"many{number}") == 1
