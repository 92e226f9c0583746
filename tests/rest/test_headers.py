"""What goes beside the resources: HEAD and OPTIONS, pages of other origins, layout, preferences."""

from collections.abc import Iterator

import pytest

from tests.live import Client, LiveServer, running
from tests.rest.catalogue import send
from tests.rest.scene import stored

pytestmark = pytest.mark.heavy

PRECISE = b'{"resourceType":"Observation","status":"final","code":{"text":"a"},"valueQuantity":{"value":1.10}}'


@pytest.fixture(scope="module")
def precise(clinic: Client) -> str:
    """An Observation with a decimal that ends in zero."""
    return str(clinic.post("Observation", PRECISE).json()["id"])


def test_pretty(clinic: Client, precise: str) -> None:
    """`_pretty=true` lays an answer out and changes no token of it (B-20); errors and Bundles too."""
    plain = clinic.get(f"Observation/{precise}")
    pretty = clinic.get(f"Observation/{precise}?_pretty=true")
    assert b'\n  "resourceType": "Observation"' in pretty.content
    assert b'"value": 1.10' in pretty.content
    assert b"\n" not in plain.content
    assert pretty.json() == plain.json()
    assert clinic.get(f"Observation/{precise}?_pretty=false").content == plain.content
    for path in ("Observation/absent?_pretty=true", "Observation?_pretty=true", "metadata?_pretty=true"):
        assert clinic.get(path).content.count(b"\n") > 4
    assert int(pretty.headers["Content-Length"]) >= 1


@pytest.mark.parametrize(
    "path", ["metadata", "Observation?_id=%s", "Observation/%s", "Observation/%s/_history", "_history"]
)
def test_head_is_get_without_its_body(clinic: Client, precise: str, path: str) -> None:
    """B-53."""
    path = path % precise if "%s" in path else path
    got, head = clinic.get(path), clinic.request("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    left_out = {"Date", "X-Request-Id", "Content-Length"}  # the date of a page is of its own moment
    assert {k: v for k, v in head.headers.items() if k not in left_out} == {
        k: v for k, v in got.headers.items() if k not in left_out
    }


@pytest.mark.parametrize(("path", "allowed"), [
    ("Basic", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"), ("metadata", "GET, HEAD, OPTIONS"),
    ("Basic/_history", "GET, HEAD, OPTIONS"), ("_history", "GET, HEAD, OPTIONS"),
    ("Basic/1/_history/1", "GET, HEAD, OPTIONS"),
])  # fmt: skip
def test_options_needs_no_token(server: LiveServer, path: str, allowed: str) -> None:
    """B-53: what may be asked of a URL, for browsers too."""
    answer = send(server, "OPTIONS", path, headers={"Origin": "https://app.example"})
    assert (answer.status, answer.headers["Allow"]) == (204, allowed)
    assert answer.headers["Access-Control-Allow-Methods"] == allowed
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.fixture(scope="module")
def shared(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server for the pages of two origins."""
    origins = "https://app.example https://other.example:8443"
    with running(module_database_url, tmp_path_factory.mktemp("shared"), cors_origins=origins) as live:
        yield live


@pytest.mark.parametrize(("origin", "allowed"), [
    ("https://app.example", True), ("https://other.example:8443", True), ("https://other.example", False),
    ("https://app.example.evil.example", False), ("null", False), ("", False), ("*", False),
])  # fmt: skip
def test_pages_of_configured_origins_alone(shared: LiveServer, origin: str, allowed: bool) -> None:
    """An answer names the one origin it is for, says that it differs by origin, and never lets credentials along."""
    for method in ("GET", "OPTIONS"):
        answer = send(shared, method, "metadata", headers={"Origin": origin} if origin else {})
        assert answer.status in {200, 204}
        assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
        assert "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_strict_and_lenient(clinic: Client) -> None:
    """B-28 as amended: unknown names are refused unless asked otherwise."""
    assert clinic.get("Basic?foo=a").status_code == 400
    assert clinic.get("Basic?foo=a", headers={"Prefer": "handling=strict"}).status_code == 400
    lenient = clinic.get("Basic?foo=a", headers={"Prefer": "respond-sync, handling=lenient"})
    assert lenient.status_code == 200
    assert lenient.json()["entry"][-1]["search"]["mode"] == "outcome"
    assert "foo" not in lenient.json()["link"][0]["url"]


@pytest.mark.parametrize(("wish", "body"), [
    ("minimal", None), ("representation", "Basic"), ("OperationOutcome", "OperationOutcome"), ("", "Basic"),
])  # fmt: skip
def test_what_a_write_gives_back(clinic: Client, wish: str, body: str | None) -> None:
    """B-12: for create, update and patch."""
    headers = {"Prefer": f"return={wish}"} if wish else {}
    made = stored(clinic, {"resourceType": "Basic", "code": {"text": "a"}})
    patch = [{"op": "add", "path": "/created", "value": "2026"}]
    for answer in (
        clinic.post("Basic", {"resourceType": "Basic", "code": {"text": "a"}}, headers=headers),
        clinic.put(f"Basic/{made['id']}", made, headers=headers),
        clinic.patch(f"Basic/{made['id']}", patch, headers=headers),
    ):
        assert answer.ok
        assert answer.headers["ETag"]
        assert (answer.json()["resourceType"] if answer.content else None) == body
