"""The history of a resource, and the formats of answers."""

import gzip

import pytest

from tests.live import Client, LiveServer
from tests.rest.catalogue import send

BASIC = {"resourceType": "Basic", "code": {"text": "a"}}


@pytest.fixture(scope="module")
def lived(clinic: Client) -> str:
    """A Basic with five versions, the last its deletion."""
    made = clinic.post("Basic", BASIC).json()
    for _ in range(3):
        clinic.put(f"Basic/{made['id']}", made)
    clinic.delete(f"Basic/{made['id']}")
    return str(made["id"])


def test_history_is_newest_first(server: LiveServer, clinic: Client, lived: str) -> None:
    """B-62: request and response in each entry, a deletion without a resource, a deleted id with its past."""
    bundle = clinic.get(f"Basic/{lived}/_history").json()
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "history")
    entries = bundle["entry"]
    assert [entry["response"]["etag"] for entry in entries] == [f'W/"{ver}"' for ver in (5, 4, 3, 2, 1)]
    assert [entry["request"]["method"] for entry in entries] == ["DELETE", "PUT", "PUT", "PUT", "POST"]
    assert [entry["request"]["url"] for entry in entries] == [*[f"Basic/{lived}"] * 4, "Basic"]
    assert [entry["response"]["status"] for entry in entries] == ["204", "200", "200", "200", "201"]
    assert all(entry["fullUrl"] == f"{server.base}/Basic/{lived}" for entry in entries)
    assert "resource" not in entries[0]
    for entry in entries[1:]:
        assert entry["resource"]["meta"]["lastUpdated"] == entry["response"]["lastModified"]
        assert f'W/"{entry["resource"]["meta"]["versionId"]}"' == entry["response"]["etag"]
    assert bundle["link"] == [{"relation": "self", "url": f"{server.base}/Basic/{lived}/_history"}]
    assert bundle["timestamp"] <= entries[0]["response"]["lastModified"]


def test_history_in_pages(clinic: Client, lived: str) -> None:
    """B-62: _count and next; what is added meanwhile moves nothing."""
    url, seen = f"Basic/{lived}/_history?_count=2", []
    while url:
        bundle = clinic.get(url).json()
        seen += [entry["response"]["etag"] for entry in bundle["entry"]]
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    assert seen == [f'W/"{ver}"' for ver in (5, 4, 3, 2, 1)]


def test_history_since(clinic: Client) -> None:
    """B-62: versions from that instant on."""
    made = clinic.post("Basic", BASIC).json()
    changed = clinic.put(f"Basic/{made['id']}", made).json()
    since = changed["meta"]["lastUpdated"]
    path = f"Basic/{made['id']}/_history"
    assert clinic.get(path, params={"_since": since}).json()["entry"][0]["response"]["etag"] == 'W/"2"'
    for later in ("2100-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00"):
        nothing = clinic.get(path, params={"_since": later})
        assert nothing.status_code == 200, nothing.text
        assert "entry" not in nothing.json()
        assert since <= nothing.json()["timestamp"] < "2100"  # from then on nothing would be missed


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
@pytest.mark.parametrize("path", ["Appointment/_history", "_history"])
def test_history_beyond_the_calendar(server: LiveServer, path: str, since: str) -> None:
    """B-62, row 48: of nothing at all, and from before or after all days."""
    newcomer = server.client(f"newcomer-{len(path)}-{since[:4]}", scopes="system/Appointment.rs")
    for name in ("_since", "_at"):
        nothing = newcomer.get(path, params={name: since})
        assert nothing.status_code == 200, nothing.text
        assert "entry" not in nothing.json()


WRONG = ["_since=x", "_count=x", "_count=-1", "foo=a", "_at=x", "_page=x", "_count=1&_count=2"]


@pytest.mark.parametrize("query", WRONG)
@pytest.mark.parametrize("path", ["Basic/%s/_history", "Basic/_history", "_history"])
def test_history_parameters_are_checked(clinic: Client, lived: str, path: str, query: str) -> None:
    path = path % lived if "%s" in path else path
    assert clinic.get(f"{path}?{query}").status_code == 400


def test_history_of_what_never_was(clinic: Client) -> None:
    """B-62."""
    assert clinic.get("Basic/never/_history").status_code == 404


ACCEPTED = [
    "application/fhir+json", "application/json", "*/*", "application/*", "text/html, application/fhir+json;q=0.5",
    "application/fhir+json; fhirVersion=4.0", "application/xml;q=0.1, */*;q=0.5", "", "text/turtle, application/json",
    "application/fhir+xml, application/fhir+json",
]  # fmt: skip


@pytest.mark.parametrize("accept", ACCEPTED)
def test_accepted_formats(server: LiveServer, accept: str) -> None:
    """B-15."""
    answer = send(server, "GET", "metadata", headers={"Accept": accept} if accept else {})
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/fhir+json; charset=utf-8")


@pytest.mark.parametrize(
    "value", ["json", "application/json", "application/fhir+json", "application/fhir%2Bjson", "application/fhir json"]
)
def test_format_wins_over_accept(server: LiveServer, value: str) -> None:
    """B-16: with the + written as it is, or arriving as a space."""
    path = f"metadata?_format={value.replace(' ', '%20')}"
    assert send(server, "GET", path, headers={"Accept": "text/html"}).status == 200


def test_long_answers_are_packed_for_those_who_take_it(server: LiveServer) -> None:
    """Content-Encoding only when asked for, the length of what is sent, and Vary either way."""
    packed = send(server, "GET", "metadata", headers={"Accept-Encoding": "br, gzip;q=0.8"})
    plain = send(server, "GET", "metadata", headers={"Accept-Encoding": "gzip;q=0"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.body) == plain.body
    for answer in (packed, plain):
        assert int(answer.headers["Content-Length"]) == len(answer.body)
        assert answer.headers["Vary"] == "Accept, Accept-Encoding"
